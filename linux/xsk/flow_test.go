package xsk

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// One goroutine transmits while another receives.
func TestBothWays(t *testing.T) {
	const count = 3000
	w := newWire(t, 1500)
	s := w.fed(t, Options{Frame: 1514, Queues: few + 1})
	turn := make(chan struct{}, 64) // veth's ring has 256
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range count {
			turn <- struct{}{}
			for !queue(s, n%100, numbered(n, 60+n%1400)) {
				if s.WaitSend(patience) != nil {
					t.Error("no buffer comes back")
					return
				}
			}
			if err := s.Send(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	echoed := make(chan struct{})
	go func() { // the peer sends back what it gets
		defer close(echoed)
		buf := make([]byte, page)
		for range count {
			n, err := w.read(buf)
			if err == nil {
				_, err = unix.Write(w.peer, buf[:n])
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	frames := make([][]byte, 16)
	for n := 0; n < count; {
		got := receive(t, s, frames)
		for _, f := range frames[:got] {
			if !bytes.Equal(f, numbered(n, 60+n%1400)) {
				t.Fatalf("frame %d: %.24x", n, f)
			}
			n++
			<-turn
		}
		s.Release()
	}
	<-done
	<-echoed
}

func TestDoesNotAllocate(t *testing.T) {
	w := newWire(t, 1500)
	s := w.fed(t, Options{Frame: 1514})
	frame, buf := numbered(1, 1000), make([]byte, page)
	frames := make([][]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		for range 16 {
			queue(s, 8, frame)
		}
		sent(t, s)
		for range 16 {
			if _, err := w.read(buf); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(w.peer, frame); err != nil {
				t.Fatal(err)
			}
		}
		for got := 0; got < 16; {
			n := s.Receive(frames)
			got += n
			s.Release()
		}
	}); n != 0 {
		t.Errorf("%v allocations for 16 frames each way", n)
	}
}
