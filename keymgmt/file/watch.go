package file

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

const (
	// settle is how long a file must be left alone before it is told of: an
	// editor writes in several steps.
	settle = 200 * time.Millisecond
	// backstop is the poll that finds what inotify did not tell: a network
	// file system, a directory that was not there, exhausted watches.
	backstop = 10 * time.Second
)

// Watch tells when what is at path has changed: written in place, replaced by
// rename, removed, or a symbolic link on the way led elsewhere (as Kubernetes
// switches ..data). One token stands for any number of changes; the channel
// closes when ctx ends. Changes count from the call: call Watch, then Load.
// Where inotify cannot serve, changes are found within 10 seconds.
func Watch(ctx context.Context, path string) <-chan struct{} {
	return watch(ctx, path, settle, backstop)
}

func watch(ctx context.Context, path string, settle, backstop time.Duration) <-chan struct{} {
	w := &watcher{path: path, out: make(chan struct{}, 1), settle: settle}
	if n, err := fsnotify.NewWatcher(); err == nil {
		w.notify, w.events = n, n.Events
	}
	w.follow()
	w.last = look(path)
	go w.run(ctx, backstop)
	return w.out
}

type watcher struct {
	path   string
	settle time.Duration
	out    chan struct{}
	notify *fsnotify.Watcher // nil where inotify is exhausted
	events <-chan fsnotify.Event
	last   print
}

func (w *watcher) run(ctx context.Context, backstop time.Duration) {
	defer close(w.out)
	var errs <-chan error
	if w.notify != nil {
		defer w.notify.Close()
		errs = w.notify.Errors
	}
	poll := time.NewTicker(backstop)
	defer poll.Stop()
	quiet := time.NewTimer(w.settle)
	quiet.Stop()
	var seen print // what was there when quiet started
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.events: // any event in the directory: a link may be the one
		case <-errs: // lost events: look
		case <-poll.C:
		case <-quiet.C:
			if now := look(w.path); now != seen {
				seen = now
				quiet.Reset(w.settle)
				continue
			}
			if seen != w.last {
				w.last = seen
				select {
				case w.out <- struct{}{}:
				default: // one is waiting to be taken
				}
			}
			continue
		}
		w.follow()
		if now := look(w.path); now != w.last {
			seen = now
			quiet.Reset(w.settle)
		}
	}
}

// follow watches the directories of path and of what it leads to now.
func (w *watcher) follow() {
	if w.notify == nil {
		return
	}
	want := []string{filepath.Dir(w.path)}
	if target, err := filepath.EvalSymlinks(w.path); err == nil {
		if dir := filepath.Dir(target); dir != want[0] {
			want = append(want, dir)
		}
	}
	have := w.notify.WatchList()
	for _, dir := range have {
		if !slices.Contains(want, dir) {
			w.notify.Remove(dir) // it may be gone with the directory
		}
	}
	for _, dir := range want {
		// Not only what is missing: a directory replaced under its name has
		// lost its watch, and adding twice is harmless. If it fails, the poll
		// remains.
		w.notify.Add(dir)
	}
}

// print tells one state of a file from another without reading it.
type print struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	mode         uint32
	uid          uint32
}

// look is the zero print if nothing can be found at path.
func look(path string) print {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return print{}
	}
	return print{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim, st.Mode, st.Uid}
}
