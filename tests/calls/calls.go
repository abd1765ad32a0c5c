// Package calls has the system calls of tests that the kernel does not begin again
// after a signal, as those that wait with a time limit, their own or the socket's
// (signal(7)): the Go runtime sends its threads some.
package calls

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Read is read(2).
func Read(fd int, p []byte) (n int, err error) {
	err = Again(func() error { n, err = unix.Read(fd, p); return err })
	return n, err
}

// Recvfrom is recvfrom(2) without flags.
func Recvfrom(fd int, p []byte) (n int, from unix.Sockaddr, err error) {
	err = Again(func() error { n, from, err = unix.Recvfrom(fd, p, 0); return err })
	return n, from, err
}

// Poll is poll(2) of one descriptor, for so many milliseconds, or longer by what a
// signal cuts off.
func Poll(fd *unix.PollFd, timeout int) (n int, err error) {
	all := []unix.PollFd{*fd}
	err = Again(func() error { n, err = unix.Poll(all, timeout); return err })
	*fd = all[0]
	return n, err
}

// Again makes a call until no signal has cut it off.
func Again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
