package packet

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/tests/calls"
)

// Frames leave from where in the buffer they are, in order, batch by batch.
func TestSend(t *testing.T) {
	w := newWire(t)
	s, peer := w.open(t, w.port, Options{Frame: 9014}), w.station(t, w.peer, macsec)
	if err := s.Send(); err != nil || s.Pending() {
		t.Errorf("nothing: %v", err)
	}
	for round := range 3 {
		n := 0
		for b := s.Buffer(); b != nil; b = s.Buffer() {
			if len(b) < 9014 || &b[0] != &s.Buffer()[0] {
				t.Fatalf("a buffer of %d, or another until Queue", len(b))
			}
			f := numbered(macsec, n, []int{60, 9014 - n, 1514}[n%3])
			s.Queue(n%3*n/3, copy(b[n%3*n/3:], f))
			n++
		}
		if n != batch || !s.Pending() {
			t.Fatalf("round %d: %d buffers, want %d", round, n, batch)
		}
		if err := s.Send(); err != nil || s.Pending() {
			t.Fatalf("send: %v, pending %v", err, s.Pending())
		}
		for i := range n {
			expect(t, peer, numbered(macsec, i, []int{60, 9014 - i, 1514}[i%3]))
		}
		if err := s.WaitSend(long); err != nil {
			t.Error(err)
		}
	}
}

func TestQueueBounds(t *testing.T) {
	for _, c := range [][2]int{{-1, 60}, {0, 0}, {0, -1}, {0, 1537}, {1500, 60}, {1536, 1}, {1, math.MaxInt}, {math.MaxInt, 1}} {
		s := &Socket{tx: newDirection(1514, 0)}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("octets [%d, +%d) of a buffer of 1536 were queued", c[0], c[1])
				}
			}()
			s.Queue(c[0], c[1])
		}()
		if s.tx.n != 0 {
			t.Errorf("[%d, +%d) left its trace", c[0], c[1])
		}
	}
}

// What was not sent is as it was, in order, whatever lies at which offset.
func TestKeep(t *testing.T) {
	for _, c := range []struct{ queued, done int }{{5, 0}, {5, 1}, {5, 4}, {5, 5}, {batch, 1}, {batch, batch / 2}, {batch, batch - 1}} {
		s := &Socket{tx: newDirection(200, 0)}
		frame := func(i int) []byte { return numbered(macsec, i, 60+i%100) }
		for i := range c.queued {
			queue(s, i, frame(i))
		}
		s.tx.keep(c.done)
		if s.tx.n != c.queued-c.done {
			t.Fatalf("%+v: %d are left", c, s.tx.n)
		}
		for i := c.queued; s.tx.n < batch; i++ { // behind them
			queue(s, i%50, frame(i))
		}
		for i := range batch {
			v := &s.tx.vectors[i]
			got := s.tx.memory[:0]
			for at := range s.tx.memory { // where Base points to
				if &s.tx.memory[at] == v.Base {
					got = s.tx.memory[at : at+int(v.Len)]
				}
			}
			if !bytes.Equal(got, frame(c.done+i)) {
				t.Fatalf("%+v: place %d has %.24x, want frame %d", c, i, got, c.done+i)
			}
		}
	}
}

// A frame that the device does not take costs no other.
func TestSendTooLong(t *testing.T) {
	w := newWire(t)
	s, peer := w.open(t, w.port, Options{Frame: 9100}), w.station(t, w.peer, macsec)
	for n := range 5 {
		size := 1000
		if n == 2 {
			size = 9100
		}
		queue(s, 4, numbered(macsec, n, size))
	}
	if err := s.Send(); !errors.Is(err, unix.EMSGSIZE) || s.tx.n != 2 {
		t.Errorf("send: %v, %d are left", err, s.tx.n)
	}
	if err := s.Send(); err != nil || s.Pending() {
		t.Errorf("send: %v, pending %v", err, s.Pending())
	}
	for _, n := range []int{0, 1, 3, 4} {
		expect(t, peer, numbered(macsec, n, 1000))
	}
}

// A frame that is refused for the moment, as by a full queue, stays, with those
// behind it; one that is refused for ever, as by a rule, does not.
func TestSendRefused(t *testing.T) {
	probetest.Need(t, probe.BPF)
	w := newWire(t)
	s, peer := w.open(t, w.port, Options{Frame: 9014}), w.station(t, w.peer, macsec)
	var filter *bpf.Enforcer
	w.do(t, func() (err error) {
		filter, err = bpf.Attach(w.port.Attrs().Index, bpf.Filter{EtherType: eapol})
		return err
	})
	defer filter.Close()
	mixed := func() {
		for n, kind := range []uint16{macsec, macsec, 0x88b5, macsec} {
			queue(s, n, numbered(kind, n, 100))
		}
		if err := s.Send(); err != nil || s.tx.n != 2 {
			t.Fatalf("send: %v, %d are left", err, s.tx.n)
		}
		expect(t, peer, numbered(macsec, 0, 100))
		expect(t, peer, numbered(macsec, 1, 100))
	}
	mixed()
	w.do(t, func() error { return bpf.Detach(w.port.Attrs().Index) })
	if err := s.Send(); err != nil || s.Pending() {
		t.Fatalf("send: %v, pending %v", err, s.Pending())
	}
	expect(t, peer, numbered(macsec, 3, 100))

	w.do(t, func() (err error) {
		e, err := bpf.Attach(w.port.Attrs().Index, bpf.Filter{EtherType: eapol})
		if err == nil {
			err = e.Close()
		}
		return err
	})
	mixed()
	tries := 1
	for err := s.Send(); s.Pending(); err = s.Send() {
		if tries++; tries > 2*patience {
			t.Fatalf("still refused after %d times", tries)
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			t.Fatal(err)
		}
	}
	if tries < patience/2 {
		t.Errorf("dropped after %d times", tries)
	}
	expect(t, peer, numbered(macsec, 3, 100))
}

func TestDoesNotAllocate(t *testing.T) {
	w := newWire(t)
	s, peer := w.open(t, w.port, Options{EtherType: macsec, Frame: 1514}), w.station(t, w.peer, macsec)
	frame, buf, frames := numbered(macsec, 1, 1000), make([]byte, 2000), make([][]byte, batch)
	if n := testing.AllocsPerRun(100, func() {
		for range 16 {
			queue(s, 8, frame)
		}
		if err := s.Send(); err != nil {
			t.Fatal(err)
		}
		for range 16 {
			if _, err := calls.Read(peer, buf); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(peer, frame); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < 16; {
			got += s.Receive(frames)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 16 frames each way", n)
	}
}

// One goroutine transmits while another receives.
func TestBothWays(t *testing.T) {
	const count = 3000
	w := newWire(t)
	a, b := w.open(t, w.port, Options{EtherType: macsec, Frame: 1514}), w.open(t, w.peer, Options{EtherType: macsec, Frame: 1514})
	turn := make(chan struct{}, 256)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range count {
			turn <- struct{}{}
			queue(a, n%50, numbered(macsec, n, 60+n%1400))
			for a.Pending() {
				if err := a.Send(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for n := range count {
		f := next(t, b) // sends back what it gets
		if !queue(b, 0, f) {
			t.Fatal("no buffer")
		}
		if err := b.Send(); err != nil {
			t.Fatal(err)
		}
		if got := next(t, a); !bytes.Equal(got, numbered(macsec, n, 60+n%1400)) {
			t.Fatalf("frame %d: %.24x", n, got)
		}
		<-turn
	}
	<-done
}
