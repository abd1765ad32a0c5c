package tpm

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// first is the first of Devices that is there.
func first() string {
	for _, d := range Devices {
		if _, err := os.Stat(d); err == nil {
			return d
		}
	}
	return Devices[0]
}

// borrow opens the TPM by the broker: the daemon has a /dev of its own, without one.
// What the broker says is of the TPM. That it says nothing is not, and the TPM may yet
// answer: nothing less takes its place.
func borrow(path string) (transport.TPMCloser, error) {
	fd, _, err := broker.Ask(broker.Request{What: broker.TPM})
	if errors.Is(err, broker.ErrUnanswered) {
		return nil, fmt.Errorf("%w: %w", ErrHangs, err)
	}
	if err != nil {
		return nil, err
	}
	return transport.FromReadWriteCloser(os.NewFile(uintptr(fd), path)), nil
}

// Lend is broker.Lend of broker.TPM.
func Lend(_, _ uint32) (fd int, text string, err error) {
	fd, err = unix.Open(first(), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", &os.PathError{Op: "open", Path: first(), Err: err}
	}
	return fd, "", nil
}
