package watch

import (
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"
)

// Screen is a terminal's alternate screen. Close gives the one before back.
type Screen struct {
	out     *os.File
	signals chan os.Signal
}

// Open shows the alternate screen of out, without a cursor. ok is false if out
// is no terminal, or one that can do no such thing by TERM.
func Open(out *os.File) (s *Screen, ok bool) {
	if term := os.Getenv("TERM"); term == "" || term == "dumb" {
		return nil, false
	}
	if _, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil, false
	}
	s = &Screen{out: out, signals: make(chan os.Signal, 1)}
	signal.Notify(s.signals, unix.SIGWINCH, unix.SIGTSTP)
	out.WriteString(enter)
	return s, true
}

// Signals are those after which it has to be drawn anew, each to be given to
// Handle.
func (s *Screen) Signals() <-chan os.Signal { return s.signals }

// Handle lets go of the terminal while the process is stopped (SIGTSTP).
func (s *Screen) Handle(got os.Signal) {
	if got != unix.SIGTSTP {
		return
	}
	s.out.WriteString(leave)
	// To this very thread, which then does not go on before it has stopped.
	runtime.LockOSThread()
	unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
	runtime.UnlockOSThread()
	s.out.WriteString(enter)
}

// Draw draws the lines in the size that the terminal has now. A terminal that
// does not know its size has 80 columns and 24 rows.
func (s *Screen) Draw(lines []Line) error {
	size := Size{80, 24}
	if w, err := unix.IoctlGetWinsize(int(s.out.Fd()), unix.TIOCGWINSZ); err == nil && w.Col > 0 && w.Row > 0 {
		size = Size{int(w.Col), int(w.Row)}
	}
	_, err := s.out.WriteString(Frame(lines, size))
	return err
}

// Close gives the terminal back.
func (s *Screen) Close() {
	signal.Stop(s.signals)
	s.out.WriteString(leave)
}
