package file

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const quick = 20 * time.Millisecond

// never is a poll that a test does not live to see.
const never = time.Hour

func told(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, ok := <-ch:
		if !ok {
			t.Fatalf("%s: the channel is closed", what)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s is not told", what)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, path string, backstop time.Duration) <-chan struct{} {
	ctx, cancel := context.WithCancel(context.Background())
	ch := watch(ctx, path, quick, backstop)
	t.Cleanup(func() {
		cancel()
		for range ch { // until it closes: the watcher is gone
		}
		goleak.VerifyNone(t)
	})
	return ch
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k.yaml")
	write(t, path, good, 0o600)
	ch := start(t, path, never)

	write(t, path, good+"# more\n", 0o600)
	told(t, ch, "a write in place")

	write(t, path+".new", good, 0o600)
	must(t, os.Rename(path+".new", path))
	told(t, ch, "a file replaced by rename")

	must(t, Append(path, newKey("new", 16)))
	told(t, ch, "Append")

	must(t, os.Chmod(path, 0o644))
	told(t, ch, "a mode that Load refuses")

	must(t, os.Remove(path))
	told(t, ch, "a file removed")

	write(t, path, good, 0o600)
	told(t, ch, "a file put back")
	if len(ch) != 0 {
		t.Error("told twice")
	}
}

func TestWatchLinks(t *testing.T) {
	path, dir := mounted(t)
	ch := start(t, path, never)

	must(t, os.Mkdir(filepath.Join(dir, "..2"), 0o700))
	write(t, filepath.Join(dir, "..2", "k.yaml"), good, 0o400)
	must(t, os.Symlink("..2", filepath.Join(dir, "..tmp")))
	must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	told(t, ch, "..data switched")

	write(t, filepath.Join(dir, "..2", "next"), good, 0o400)
	must(t, os.Rename(filepath.Join(dir, "..2", "next"), filepath.Join(dir, "..2", "k.yaml")))
	told(t, ch, "a change where the link leads since the switch")
}

// Without a directory inotify has nothing to watch: the poll finds it.
func TestWatchPolls(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later", "k.yaml")
	ch := start(t, path, quick)
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	write(t, path, good, 0o600)
	told(t, ch, "a file in a directory made later")
}
