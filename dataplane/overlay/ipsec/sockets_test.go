package ipsec

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The sockets of a process get room, those of the Internet alone.
func TestDeepen(t *testing.T) {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	local, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@linkseal-deepen-test", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	room := func(c interface {
		File() (*os.File, error)
	}) int {
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := room(local)
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := deepen(pidfd, os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if got := room(udp); got < deep {
		t.Errorf("UDP has %d octets; want %d", got, deep)
	}
	if got := room(local); got != before {
		t.Errorf("a unix socket has %d octets; it had %d", got, before)
	}
}

// The broker gives room to a charon's sockets, and to nobody else's.
func TestLendNoCharon(t *testing.T) {
	if fd, _, err := Lend(uint32(os.Getpid()), 0); !errors.Is(err, unix.EPERM) || fd != -1 {
		t.Errorf("%d, %v", fd, err)
	}
	if fd, _, err := Lend(1<<30, 0); err == nil || fd != -1 {
		t.Errorf("%d, %v", fd, err)
	}
}
