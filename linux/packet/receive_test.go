package packet

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/calls"
)

// Of one EtherType without VLAN tag, or of all but one, with their tags; never
// what this machine sends, nor what is too long.
func TestReceive(t *testing.T) {
	tagged := slices.Concat(numbered(macsec, 0, 60)[:12], []byte{0x81, 0, 0x60, 5}, numbered(macsec, 4, 100)[12:])
	twice := slices.Concat(tagged[:12], []byte{0x88, 0xa8, 0, 6}, tagged[12:])
	for _, c := range []struct {
		name string
		o    Options
		want []int
	}{
		{"MACsec", Options{EtherType: macsec, Frame: 9014}, []int{1, 2, 3, 9}},
		{"all but EAPOL", Options{Except: eapol, Frame: 9014}, []int{1, 2, 3, 4, 6, 8, 9}},
		{"all", Options{Frame: 9014}, []int{1, 2, 3, 4, 5, 6, 8, 9}},
		{"short ones", Options{EtherType: macsec, Frame: 1514}, []int{1, 2, 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t)
			s := w.open(t, w.port, c.o)
			port, peer := w.station(t, w.port, 0), w.station(t, w.peer, 0)
			frames := map[int][]byte{1: numbered(macsec, 1, 60), 2: numbered(macsec, 2, 1514), 3: numbered(macsec, 3, 9014), 4: tagged,
				5: numbered(eapol, 5, 100), 6: numbered(0x88b5, 6, 100), 7: numbered(macsec, 7, 100), 8: twice, 9: numbered(macsec, 9, 100)}
			for n := 1; n <= 9; n++ {
				switch {
				case n == 7:
					write(t, port, frames[n]) // this machine's own
				case frames[n] != nil:
					write(t, peer, frames[n])
				}
			}
			for _, n := range c.want {
				got := next(t, s)
				for !slices.ContainsFunc([]uint16{macsec, eapol, 0x88b5, 0x8100, 0x88a8}, func(e uint16) bool { return got[12] == byte(e>>8) && got[13] == byte(e) }) {
					got = next(t, s) // the peer's own IPv6
				}
				if !bytes.Equal(got, frames[n]) {
					t.Fatalf("%d octets %.24x; want frame %d", len(got), got, n)
				}
				clear(got[:cap(got)])
				s.Release()
			}
			if n := s.Overruns(); n != 0 {
				t.Errorf("%d overruns", n)
			}
		})
	}
}

// Frames for groups that nobody joined are received too.
func TestReceivesGroups(t *testing.T) {
	w := newWire(t)
	s := w.open(t, w.port, Options{EtherType: macsec, Frame: 1514})
	frame := numbered(macsec, 1, 100)
	copy(frame, []byte{1, 0, 0x5e, 1, 2, 3})
	write(t, w.station(t, w.peer, 0), frame)
	if got := next(t, s); !bytes.Equal(got, frame) {
		t.Errorf("%.24x", got)
	}
}

// What the buffer has no room for is counted, over all times that it is asked.
func TestOverruns(t *testing.T) {
	w := newWire(t)
	s := w.open(t, w.port, Options{EtherType: macsec, Frame: 1514})
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10); err != nil {
		t.Fatal(err)
	}
	peer := w.station(t, w.peer, 0)
	const each = 300
	frames := make([][]byte, batch)
	got, sent := 0, 0
	for round := range 3 {
		for range each {
			write(t, peer, numbered(macsec, sent, 1000))
			sent++
		}
		await(t, "all frames to be received or lost", func() bool {
			n := s.Receive(frames)
			got += n
			return uint64(got)+s.Overruns() == uint64(sent)
		})
		if s.Overruns() <= uint64(round)*10 {
			t.Errorf("round %d: %d overruns", round, s.Overruns())
		}
	}
	if got == 0 {
		t.Error("nothing was received")
	}
	if n := s.Receive(nil); n != 0 {
		t.Errorf("%d frames into no room", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWire(t)
	before := descriptors(t)
	w.do(t, func() error {
		for _, c := range []struct {
			index, frame int
			text         string
		}{
			{0, 1514, "interface index is greater than 0"},
			{-1, 1514, "interface index is greater than 0"},
			{9999, 1514, "device 9999: open: bind: no such device"},
			{w.port.Attrs().Index, 0, "frames of 0 octets: 1 to 65557 are accepted"},
			{w.port.Attrs().Index, 1 << 40, "are accepted"},
		} {
			s, err := Open(c.index, Options{Frame: c.frame})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("device %d, frame %d: %v; want %q in it", c.index, c.frame, err, c.text)
			}
		}
		return nil
	})
	s := w.open(t, w.port, Options{Frame: 60})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
}

// A port that was down goes on; one that is gone is told.
func TestDownAndRemoved(t *testing.T) {
	w := newWire(t)
	s := w.open(t, w.port, Options{EtherType: macsec, Frame: 1514})
	frames := make([][]byte, 2)
	w.do(t, func() error { return netlink.LinkSetDown(w.port) })
	if n := s.Receive(frames); n != 0 {
		t.Errorf("%d frames while it is down", n)
	}
	queue(s, 0, numbered(macsec, 1, 100))
	if err := s.Send(); !errors.Is(err, unix.ENETDOWN) || s.Pending() {
		t.Errorf("send: %v, pending %v", err, s.Pending())
	}
	w.do(t, func() error { return netlink.LinkSetUp(w.port) })
	w.carrier(t)
	peer := w.station(t, w.peer, macsec)
	queue(s, 0, numbered(macsec, 2, 100))
	if err := s.Send(); err != nil {
		t.Error(err)
	}
	expect(t, peer, numbered(macsec, 2, 100))
	write(t, peer, numbered(macsec, 3, 100))
	if got := next(t, s); !bytes.Equal(got, numbered(macsec, 3, 100)) {
		t.Errorf("%.24x", got)
	}
	w.do(t, func() error { return netlink.LinkDel(w.port) })
	p := unix.PollFd{Fd: int32(s.FD()), Events: unix.POLLIN}
	if n, err := calls.Poll(&p, int(long.Milliseconds())); n != 1 || p.Revents&unix.POLLERR == 0 {
		t.Errorf("poll: %d, %v, events %#x", n, err, p.Revents)
	}
	if n := s.Receive(frames); n != 0 {
		t.Errorf("%d frames of what is gone", n)
	}
	queue(s, 0, numbered(macsec, 4, 100))
	if err := s.Send(); err == nil || !strings.Contains(err.Error(), "packet socket: device ") {
		t.Errorf("send: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
