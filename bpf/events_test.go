package bpf

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

func (w *testWire) events(t *testing.T) *Events {
	t.Helper()
	var v *Events
	w.do(t, func() (err error) { v, err = OpenEvents(w.index()); return err })
	t.Cleanup(func() { v.Close() })
	return v
}

func (v *Events) next(t *testing.T) Drop {
	t.Helper()
	d, err := v.Read(time.Now().Add(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The first frame of a kind is told at once, of each kind for itself; the
// next of that kind only once the reader has armed it again, and the counters
// tell how many there were. A change of settings loses nothing.
func TestEvents(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.attach(t, plain, m)
		port, peer := w.station(t, w.port), w.station(t, w.peer)
		v := w.events(t)
		clear := octets(t, portMAC+peerMAC+"0800"+"4500002800000000"+"4006"+"0000"+"0a000001"+"0a000002"+"1f900050", 60)
		tagged := octets(t, portMAC+peerMAC+"8100000a"+"88b5", 60)
		// IPv6 of the stack may come first, and then ours are not told of before
		// the alarm is armed again: they are sent until each was the first once.
		got := map[string]string{}
		for end := time.Now().Add(10 * time.Second); len(got) < 3; {
			if time.Now().After(end) {
				t.Fatalf("told of %v only", got)
			}
			peer.send(t, clear)
			peer.send(t, tagged)
			port.try(t, octets(t, "02aaaaaaaaaa"+portMAC+"88b5", 60))
			for wait := time.Now().Add(2 * rearm); len(got) < 3; {
				d, err := v.Read(wait)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if s := d.Source; (s == [6]byte{2, 0, 0, 0, 0, 1} || s == [6]byte{2, 0, 0, 0, 0, 2}) && d.EtherType != 0x86dd {
					got[d.Direction.String()+" "+d.Reason.String()] = d.Head.String()
				}
			}
		}
		want := map[string]string{
			"ingress dropped": "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800 tcp 10.0.0.1:8080 > 10.0.0.2:80",
			"ingress tagged":  "02:00:00:00:00:02 > 02:00:00:00:00:01 vlan 10 ethertype 0x88b5",
			"egress dropped":  "02:00:00:00:00:01 > 02:aa:aa:aa:aa:aa ethertype 0x88b5",
		}
		for kind, head := range want {
			if got[kind] != head {
				t.Errorf("%s: %q, want %q", kind, got[kind], head)
			}
		}

		w.attach(t, everything, modes{})
		w.do(t, func() error {
			if !v.Attached(w.index()) {
				t.Error("after a change of settings the events are not the filter's")
			}
			return nil
		})
		before, err := v.Dropped(Ingress, Reason(portVerdictTAGGED))
		if err != nil {
			t.Fatal(err)
		}
		// 100 at once: one event or, if the alarm is set meanwhile, two.
		for range 100 {
			peer.send(t, tagged)
		}
		deadline := time.Now().Add(3 * rearm)
		events := 0
		for {
			d, err := v.Read(deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if d.Reason == Reason(portVerdictTAGGED) {
				events++
			}
		}
		after, err := v.Dropped(Ingress, Reason(portVerdictTAGGED))
		if err != nil || after-before != 100 || events > 2 {
			t.Errorf("%d events of %d frames, %v", events, after-before, err)
		}
		if events == 0 { // they came before the alarm was armed again, which it is now
			peer.send(t, tagged)
			v.next(t)
		}
		if v.Lost() != 0 {
			t.Errorf("%d lost", v.Lost())
		}
	})
}

// Nobody reads: the ring fills, and what has no room is counted.
func TestLostEvents(t *testing.T) {
	p := loaded(t, plain)
	e, err := newEnforcer(p)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	v, err := e.events()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	frame := octets(t, portMAC+peerMAC+"0800"+"4500", 60)
	const n = 1000 // of 112 octets with their header, in 64 KiB
	for range n {
		v.alarm.Armed[why(Ingress, Reason(portVerdictDROPPED))] = 1
		if _, _, err := p.in.Test(frame); err != nil {
			t.Fatal(err)
		}
	}
	read := uint64(0)
	for ; ; read++ {
		if _, err := v.Read(time.Now()); err != nil {
			break
		}
	}
	if v.Lost() == 0 || v.Lost()+read != n {
		t.Errorf("%d read and %d lost of %d", read, v.Lost(), n)
	}
}

func TestEventsEnd(t *testing.T) {
	w := newWire(t)
	w.do(t, func() error {
		if _, err := OpenEvents(w.index()); !errors.Is(err, ErrNotAttached) {
			t.Errorf("without a filter: %v", err)
		}
		return nil
	})
	w.attach(t, plain, modes{})
	v := w.events(t)
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil { // the host may have said something
			_, err = v.Read(time.Now().Add(time.Minute))
		}
		done <- err
	}()
	if err := v.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Stop: %v", err)
	}
	w.do(t, func() error {
		if err := Detach(w.index()); err != nil {
			return err
		}
		if v.Attached(w.index()) {
			t.Error("without a filter the events are attached")
		}
		return nil
	})
}

// A kind whose event was lost is told of again when the ring has room.
func TestLostEventIsNoSilence(t *testing.T) {
	p := loaded(t, plain)
	e := &Enforcer{p.in.maps}
	v, err := e.events()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	run := func(frame string) {
		t.Helper()
		if _, err := p.in.Run(&ebpf.RunOptions{Data: octets(t, frame, 60)}); err != nil {
			t.Fatal(err)
		}
	}
	clear, tagged := portMAC+peerMAC+"0800"+"4500", portMAC+peerMAC+"8100000a"+"88b5"
	for range 10000 {
		if v.Lost() > 0 {
			break
		}
		atomic.StoreUint32(&v.alarm.Armed[why(Ingress, Reason(portVerdictDROPPED))], 1)
		run(clear)
	}
	run(tagged)
	if v.Lost() < 2 {
		t.Fatalf("%d lost: the ring is not full", v.Lost())
	}
	for end := time.Now().Add(10 * time.Second); ; run(tagged) {
		d, err := v.Read(time.Now().Add(rearm / 10))
		switch {
		case err == nil && d.Reason == Reason(portVerdictTAGGED):
			return
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatal(err)
		case time.Now().After(end):
			t.Fatal("no tagged frame is told of any more")
		}
	}
}
