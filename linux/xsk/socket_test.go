package xsk

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Frames of all lengths come as they were sent, and may be written to.
func TestReceive(t *testing.T) {
	for _, longest := range []int{page/2 - unix.XDP_PACKET_HEADROOM, MaxFrame} {
		w := newWire(t, longest-14)
		s := w.fed(t, Options{Frame: longest})
		frames := make([][]byte, 8)
		for n, size := range []int{60, 61, 64, 127, 1000, 1514, longest - 1, longest} {
			want := numbered(n, size)
			w.send(t, want)
			if got := receive(t, s, frames); got != 1 || !bytes.Equal(frames[0], want) {
				t.Fatalf("%d octets: %d frames, %.24x", size, got, frames[0])
			}
			f := frames[0]
			clear(f[:cap(f)])
			if cap(f) < len(f) || cap(f) > s.chunk {
				t.Errorf("%d octets: capacity %d", size, cap(f))
			}
			s.Release()
		}
		if n := s.Receive(frames); n != 0 {
			t.Errorf("%d frames more", n)
		}
		if n := s.Overruns(); n != 0 {
			t.Errorf("%d overruns", n)
		}
		if s.ZeroCopy() {
			t.Error("zero-copy, which veth has not")
		}
	}
}

// Frames leave from where in the buffer they are, in order.
func TestTransmit(t *testing.T) {
	for longest, chunk := range map[int]int{60: page / 2, page/2 - unix.XDP_PACKET_HEADROOM: page / 2, page/2 - unix.XDP_PACKET_HEADROOM + 1: page, MaxFrame: page} {
		w := newWire(t, MaxFrame-14)
		s := w.open(t, Options{Frame: longest})
		var want [][]byte
		for n, at := range [][2]int{{0, 60}, {8, longest}, {16, 60}, {1, 61}, {chunk - 60, 60}, {chunk - longest, longest}} {
			b := s.Buffer()
			if len(b) != chunk || &b[0] != &s.Buffer()[0] {
				t.Fatalf("frames of %d octets: a buffer of %d, or another until Queue", longest, len(b))
			}
			f := numbered(n, at[1])
			s.Queue(at[0], copy(b[at[0]:], f))
			want = append(want, f)
		}
		sent(t, s)
		for _, f := range want {
			w.expect(t, f)
		}
	}
}

// What does not fit is lost and counted; what is there is not overwritten.
func TestOverrun(t *testing.T) {
	w := newWire(t, 1500)
	s := w.fed(t, Options{Frame: 1514, Queues: few + 1})
	const more = 100
	for n := range s.rxFrames + more {
		w.send(t, numbered(n, 100))
		if n%32 == 31 || n >= s.rxFrames {
			await(t, "the frames to come", func() bool { return uint64(s.rx.ready())+s.Overruns() == uint64(n+1) })
		}
	}
	if n := s.Overruns(); n != more {
		t.Errorf("%d overruns, want %d", n, more)
	}
	frames := make([][]byte, s.rxFrames+1)
	half := s.rxFrames / 2
	n := s.Receive(frames[:half])
	n += s.Receive(frames[n:])
	if n != s.rxFrames {
		t.Fatalf("%d frames, want %d", n, s.rxFrames)
	}
	for i, f := range frames[:n] {
		if !bytes.Equal(f, numbered(i, 100)) {
			t.Fatalf("frame %d is %.24x", i, f)
		}
	}
	s.Release()
	s.Release() // nothing is given back twice
	for i := range 3 * s.rxFrames {
		want := numbered(i, 200)
		w.send(t, want)
		if got := receive(t, s, frames[:2]); got != 1 || !bytes.Equal(frames[0], want) {
			t.Fatalf("after Release frame %d: %d frames, %.24x", i, got, frames[0])
		}
		s.Release()
	}
	if n := s.Overruns(); n != more {
		t.Errorf("%d overruns in the end, want %d", n, more)
	}
}

// There are as many buffers as promised, and they come back.
func TestBuffersRunOut(t *testing.T) {
	w := newWire(t, 1500)
	s := w.open(t, Options{Frame: 1514, Queues: few + 1})
	for round := range 3 {
		n := 0
		for queue(s, 8, numbered(round<<16+n, 100)) {
			n++
		}
		if n != s.txFrames {
			t.Fatalf("round %d: %d buffers, want %d", round, n, s.txFrames)
		}
		if s.Buffer() != nil {
			t.Fatal("one more buffer")
		}
		sent(t, s)
		for i := range n {
			w.expect(t, numbered(round<<16+i, 100))
		}
		await(t, "the buffers", func() bool { s.collect(); return len(s.free) == s.txFrames })
		if err := s.WaitSend(patience); err != nil {
			t.Error(err)
		}
	}
}

// A port that was down goes on where it was.
func TestDownAndUp(t *testing.T) {
	w := newWire(t, 1500)
	s := w.fed(t, Options{Frame: 1514})
	w.do(t, func() error { return netlink.LinkSetDown(w.port) })
	queue(s, 0, numbered(1, 100))
	if err := s.Send(); !errors.Is(err, unix.ENETDOWN) || !s.Pending() || s.Left() != 1 {
		t.Errorf("send: %v, pending %v, left %d", err, s.Pending(), s.Left())
	}
	w.do(t, func() error { return netlink.LinkSetUp(w.port) })
	w.carrier(t)
	sent(t, s)
	w.expect(t, numbered(1, 100))
	w.send(t, numbered(2, 100))
	frames := make([][]byte, 2)
	if n := receive(t, s, frames); n != 1 || !bytes.Equal(frames[0], numbered(2, 100)) {
		t.Errorf("%d frames, %.24x", n, frames[0])
	}
}

// A port that is gone is told, and takes nothing with it.
func TestDeviceRemoved(t *testing.T) {
	w := newWire(t, 1500)
	s := w.fed(t, Options{Frame: 1514})
	w.do(t, func() error { return netlink.LinkDel(w.port) })
	queue(s, 0, numbered(1, 100))
	if err := s.Send(); err == nil || !strings.Contains(err.Error(), "AF_XDP: device ") {
		t.Errorf("send: %v", err)
	}
	if n := s.Receive(make([][]byte, 2)); n != 0 {
		t.Errorf("%d frames", n)
	}
	s.Release()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWire(t, 1500)
	before := descriptors(t)
	first := w.open(t, Options{Frame: 1514})
	w.do(t, func() error {
		for _, c := range []struct {
			index int
			o     Options
			is    error
			text  string
		}{
			{w.index(), Options{Frame: 1514}, unix.EBUSY, "another program has the queue; end it"},
			{w.index(), Options{Frame: 1514, Queue: 1}, ErrNoQueue, "queue 1: open: bind: "},
			{w.index(), Options{Frame: 1514, Queue: 1 << 20}, ErrNoQueue, "no such queue"},
			{w.index(), Options{Frame: 1514, Queue: -1}, ErrNoQueue, "queue -1: open: "},
			{9999, Options{Frame: 1514}, unix.ENODEV, "device 9999"},
			{w.index(), Options{}, nil, "frames of 0 octets"},
			{w.index(), Options{Frame: MaxFrame + 1}, nil, "1 to 3520 fit"},
		} {
			s, err := Open(c.index, c.o)
			if err == nil {
				s.Close()
			}
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("device %d %+v: %v, want %q in it", c.index, c.o, err, c.text)
			}
		}
		return nil
	})
	for range 2 {
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	}
	// The queue is free, as soon as the kernel's own worker has let go of it.
	var again *Socket
	w.do(t, func() (err error) {
		for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
			if again, err = Open(w.index(), Options{Frame: 1514}); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
				return err
			}
		}
	})
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
}
