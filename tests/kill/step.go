package kill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// step reads from /proc what a held thread is about to do.
func step(n *notif) (Step, error) {
	i := slices.IndexFunc(changes, func(c change) bool { return c.nr == uint32(n.nr) })
	if i < 0 {
		return Step{}, fmt.Errorf("a stop at system call %d, which was not asked for", n.nr)
	}
	c := &changes[i]
	s := Step{Call: c.name}
	thread := fmt.Sprintf("/proc/%d", n.pid)
	var err error
	if s.PID, err = process(thread); err != nil {
		return s, fmt.Errorf("%s: %w", s.Call, err)
	}
	if c.fd >= 0 {
		s.Path, err = os.Readlink(fmt.Sprintf("%s/fd/%d", thread, int32(n.args[c.fd])))
	} else {
		s.Path, err = path(thread, n.args[c.path], int32(n.args[c.dir]))
	}
	if err != nil {
		return s, fmt.Errorf("%s: its file: %w", s.Call, err)
	}
	return s, nil
}

// process is the id of the process that a thread belongs to.
func process(thread string) (int, error) {
	text, err := os.ReadFile(thread + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(line, "Tgid:"); ok {
			return strconv.Atoi(strings.TrimSpace(id))
		}
	}
	return 0, errors.New("no Tgid in " + thread + "/status")
}

// path reads the path at an address of a thread, absolute; dir is the
// descriptor that a relative one is relative to.
func path(thread string, at uint64, dir int32) (string, error) {
	mem, err := os.Open(thread + "/mem")
	if err != nil {
		return "", err
	}
	defer mem.Close()
	buf := make([]byte, unix.PathMax)
	// What comes after the path may be no memory.
	n, err := mem.ReadAt(buf, int64(at))
	end := bytes.IndexByte(buf[:n], 0)
	if end < 0 {
		return "", fmt.Errorf("no path at %#x: %w", at, errors.Join(err, io.ErrUnexpectedEOF))
	}
	name := string(buf[:end])
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	base := fmt.Sprintf("%s/fd/%d", thread, dir)
	if dir == unix.AT_FDCWD {
		base = thread + "/cwd"
	}
	folder, err := os.Readlink(base)
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, name), nil
}
