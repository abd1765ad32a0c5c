package console

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// look is how often the console looks, and redraw how often a screen is
	// drawn anew though nothing has changed: the kernel writes on it too.
	look   = 2 * time.Second
	redraw = 10 * time.Second
)

// Show shows the state on out until ctx ends: on a screen, which is redrawn, or
// else as a log to which what has changed is added.
func Show(ctx context.Context, out io.Writer, gather func(context.Context) *State) error {
	screen, rows := rows(out)
	quiet(out)
	var before []Section
	var drawn time.Time
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		s := gather(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := s.Sections()
		changed, gone := Changed(before, now)
		news := len(changed)+len(gone) > 0
		text := ""
		switch {
		case screen && (news || time.Since(drawn) >= redraw):
			text, drawn = Screen(Lines(now), rows()), time.Now()
		case !screen && news:
			text = Log(changed, gone, s.Now)
		}
		if text != "" {
			if _, err := io.WriteString(out, text); err != nil {
				return err
			}
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// rows tells whether out is a screen that can be redrawn, and how to ask for its
// rows. By TERM, which the service manager sets by the terminal: linux is a
// screen of the machine's own, vt220 a serial line.
func rows(out io.Writer) (screen bool, ask func() int) {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") != "linux" {
		return false, nil
	}
	size := func() int {
		w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || w.Row == 0 {
			return 25
		}
		return int(w.Row)
	}
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil, size
}

// quiet keeps what is typed from being shown: nobody reads it.
func quiet(out io.Writer) {
	f, ok := out.(*os.File)
	if !ok {
		return
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return // no terminal
	}
	t.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t) // the screen is only less tidy
}
