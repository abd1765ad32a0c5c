package status

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// give gives the socket to a group: by the broker where the daemon may not.
func give(socket string, group int) error {
	err := os.Chown(socket, -1, group)
	if !errors.Is(err, os.ErrPermission) || !broker.Configured() || filepath.Dir(socket) != filepath.Dir(DefaultSocket) {
		return err
	}
	var s unix.Stat_t
	if err := unix.Lstat(socket, &s); err != nil {
		return &os.PathError{Op: "stat", Path: socket, Err: err}
	}
	fd, _, err := broker.Ask(broker.Request{What: broker.Group, A: uint32(group), B: uint32(s.Ino)})
	if fd >= 0 {
		unix.Close(fd) // none is lent for it
	}
	return err
}

// Lend is broker.Lend of broker.Group: no socket but one of the process's own user, in
// the directory of DefaultSocket, is given to a group.
func Lend(group, inode uint32) (fd int, text string, err error) {
	return -1, "", lend(filepath.Dir(DefaultSocket), group, inode)
}

func lend(dir string, group, inode uint32) error {
	if group > 1<<31-1 {
		return fmt.Errorf("group %d: %w", group, unix.EINVAL)
	}
	in, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(in)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() != os.ModeSocket {
			continue
		}
		// A descriptor of what is looked at: what is at its name may change meanwhile.
		at, err := unix.Openat(in, e.Name(), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var s unix.Stat_t
		err = unix.Fstat(at, &s)
		if err == nil && s.Mode&unix.S_IFMT == unix.S_IFSOCK && uint32(s.Ino) == inode && int(s.Uid) == os.Geteuid() {
			err = unix.Fchownat(at, "", -1, int(group), unix.AT_EMPTY_PATH)
			unix.Close(at)
			return os.NewSyscallError("fchownat", err)
		}
		unix.Close(at)
	}
	return fmt.Errorf("%s has no such socket: %w", dir, unix.ENOENT)
}
