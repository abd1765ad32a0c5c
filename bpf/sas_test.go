package bpf

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

var (
	portSCI = [8]byte{2, 0, 0, 0, 0, 1, 0, 1}
	peerSCI = [8]byte{2, 0, 0, 0, 0, 2, 0, 1}
)

func keyed(d Direction, an uint8, n uint32) SA {
	a := SA{Direction: d, SCI: [][8]byte{peerSCI, portSCI}[d], AN: an}
	copy(a.Key[:], "member identity.")
	binary.BigEndian.PutUint32(a.Key[12:], n)
	return a
}

func (w *testWire) sas(t testing.TB) *SAs {
	t.Helper()
	var s *SAs
	w.do(t, func() (err error) { s, err = OpenSAs(w.index()); return err })
	t.Cleanup(func() { s.Close() })
	return s
}

func (s *SAs) start(t testing.TB, a SA) {
	t.Helper()
	if err := s.Begin(a, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (s *SAs) unsettled(t testing.TB) []Account {
	t.Helper()
	all, err := s.Unsettled()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// framed is a MACsec frame with that SCI.
func framed(sci [8]byte, an uint8, pn uint32, size int) []byte {
	f := make([]byte, size)
	copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xe5, 0x2c | an})
	binary.BigEndian.PutUint32(f[16:], pn)
	copy(f[20:], sci[:])
	return f
}

// What is counted of a key is what was sent under it, from when to when, and what
// else passed; what is not its own is nobody's.
func TestAccounts(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	s, port, peer := w.sas(t), w.station(t, w.port), w.station(t, w.peer)
	before := time.Now()
	s.start(t, keyed(Egress, 1, 7))
	s.start(t, keyed(Ingress, 2, 8))
	for i := range uint32(3) {
		port.send(t, framed(portSCI, 1, 5+i, 60+int(i)))
		peer.send(t, framed(peerSCI, 2, 9+2*i, 70))
	}
	peer.send(t, framed(portSCI, 1, 99, 60)) // the port's own SCI comes in
	peer.send(t, framed(peerSCI, 1, 99, 60)) // an AN without a key
	peer.send(t, octets(t, "ffffffffffff"+peerMAC+"0800"+"4500", 100))
	port.until(t, marked(t, peer, 1))
	all := s.unsettled(t)
	if len(all) != 2 {
		t.Fatalf("accounts: %+v", all)
	}
	for i, want := range []struct {
		SA
		Counter
		low, high uint32
		gaps      uint64
	}{{keyed(Egress, 1, 7), Counter{3, 183}, 5, 7, 0}, {keyed(Ingress, 2, 8), Counter{3, 210}, 9, 13, 2}} {
		a := all[i]
		if a.SA != want.SA || a.Counter != want.Counter || a.Low != want.low || a.High != want.high || a.Gaps() != want.gaps {
			t.Errorf("%s: %+v, %d are missing; want %+v", a.SA, a.Numbered, a.Gaps(), want)
		}
		if now := time.Now(); a.Since.Before(before) || a.Seen.Before(before.Add(-50*time.Millisecond)) || a.Seen.After(now.Add(50*time.Millisecond)) || !a.Until.IsZero() {
			t.Errorf("from %v to %v, last seen %v; it is %v", a.Since, a.Until, a.Seen, now)
		}
		if a.Clear != (Counter{}) || a.Allowed != (Counter{}) {
			t.Errorf("in clear passed %+v and %+v", a.Clear, a.Allowed)
		}
	}
	if d := all[1].Dropped; d.Packets == 0 || d.Octets < 100 {
		t.Errorf("dropped: %+v, of which one has 100 octets", d)
	}
	if c, err := s.Nobody(); err != nil || c != (Counter{2, 120}) {
		t.Errorf("of nobody: %+v, %v", c, err)
	}
}

// A later process goes on with what it finds; a change of settings changes
// nothing.
func TestAccountsStay(t *testing.T) {
	combinations(t, func(t *testing.T, m modes) {
		w := newWire(t)
		w.attach(t, plain, m)
		port := w.station(t, w.port)
		first := w.sas(t)
		first.start(t, keyed(Egress, 0, 1))
		first.start(t, keyed(Egress, 1, 2))
		first.start(t, keyed(Ingress, 0, 1))
		port.send(t, framed(portSCI, 0, 1, 60))
		port.send(t, framed(portSCI, 1, 1, 70))
		if err := first.End(keyed(Egress, 0, 1), time.Now()); err != nil {
			t.Fatal(err)
		}
		port.send(t, framed(portSCI, 0, 2, 60)) // nobody's
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		w.attach(t, everything, m)
		s := w.sas(t)
		if !s.Same(first) {
			t.Error("they are said to be another filter's")
		}
		s.start(t, keyed(Egress, 1, 2))
		port.send(t, framed(portSCI, 1, 2, 80))
		all := s.unsettled(t)
		if len(all) != 3 || all[0].SA != keyed(Egress, 0, 1) || all[0].Packets != 1 || all[0].Until.IsZero() ||
			all[1].SA != keyed(Egress, 1, 2) || all[1].Packets != 2 || all[1].Octets != 150 || all[1].High != 2 {
			t.Fatalf("accounts: %+v", all)
		}
		if err := s.Settle(all[0]); err != nil {
			t.Fatal(err)
		}
		if err := s.Settle(all[1]); err != nil { // it is there still
			t.Fatal(err)
		}
		// The AN has another key.
		s.start(t, keyed(Egress, 1, 3))
		later := w.sas(t)
		all = later.unsettled(t)
		if len(all) != 3 || all[0].SA != keyed(Egress, 1, 2) || all[0].Until.IsZero() || all[2].SA != keyed(Egress, 1, 3) || all[2].Packets != 0 {
			t.Errorf("accounts: %+v", all)
		}
	})
}

// An SA without a counter is an error, and harms no other.
func TestNoCounter(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	s := w.sas(t)
	s.slots = s.slots[:3]
	s.start(t, keyed(Egress, 0, 1))
	s.start(t, keyed(Egress, 1, 1))
	if err := s.Begin(keyed(Egress, 2, 1), time.Now()); !errors.Is(err, ErrNoCounter) {
		t.Errorf("a third: %v", err)
	}
	if err := s.End(keyed(Egress, 2, 1), time.Now()); err != nil {
		t.Error(err)
	}
	w.station(t, w.port).send(t, framed(portSCI, 2, 1, 60))
	if c, err := s.Nobody(); err != nil || c != (Counter{1, 60}) {
		t.Errorf("of nobody: %+v, %v", c, err)
	}
	if err := s.End(keyed(Egress, 0, 1), time.Now()); err != nil {
		t.Error(err)
	}
	s.start(t, keyed(Egress, 2, 1))
}

// An SCI is that of one sender: a peer that has the port's takes no counter
// from it, for as long as the port has it.
func TestBothWays(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	s, port, peer := w.sas(t), w.station(t, w.port), w.station(t, w.peer)
	ours, theirs := keyed(Egress, 0, 1), keyed(Egress, 0, 1)
	theirs.Direction = Ingress
	s.start(t, ours)
	if err := s.Begin(theirs, time.Now()); !errors.Is(err, errBothWays) {
		t.Errorf("a peer with the port's SCI: %v", err)
	}
	port.send(t, framed(portSCI, 0, 1, 60))
	if all := s.unsettled(t); len(all) != 1 || all[0].Packets != 1 {
		t.Errorf("accounts: %+v", all)
	}
	if err := s.End(ours, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.start(t, theirs)
	peer.send(t, framed(portSCI, 0, 1, 60))
	port.until(t, framed(portSCI, 0, 1, 60))
	if all := s.unsettled(t); len(all) != 2 || all[1].Packets != 1 {
		t.Errorf("accounts: %+v", all)
	}
}

// What a SecY in user space sent is of the key that the AN has.
func TestSentByKey(t *testing.T) {
	w := newWire(t)
	w.attach(t, plain, modes{})
	x, s := w.sockets(t), w.sas(t)
	x.Sent(Batch{AN: 3, Packets: 1, Octets: 50, First: 1, Last: 1})
	s.start(t, keyed(Egress, 3, 1))
	at := time.Now().Round(0)
	var all sync.WaitGroup
	for worker := range uint32(4) {
		all.Go(func() {
			for i := range uint32(1000) {
				x.Sent(Batch{AN: 3, Packets: 2, Octets: 120, First: 1 + 8*i + 2*worker, Last: 2 + 8*i + 2*worker})
			}
		})
	}
	all.Wait()
	a := s.unsettled(t)[0]
	if a.Packets != 8000 || a.Octets != 480000 || a.High != 8000 || a.Seen.Before(at) || a.Seen.After(time.Now()) {
		t.Errorf("%+v", a)
	}
	if c, err := s.Nobody(); err != nil || c != (Counter{1, 50}) {
		t.Errorf("of nobody: %+v, %v", c, err)
	}
	if err := s.End(keyed(Egress, 3, 1), time.Now()); err != nil {
		t.Fatal(err)
	}
	x.Sent(Batch{AN: 3, Packets: 1, Octets: 50, First: 1, Last: 1})
	if a := s.unsettled(t)[0]; a.Packets != 8000 || a.Until.IsZero() {
		t.Errorf("ended: %+v", a)
	}
}

// MACsec that is cut within its SecTAG is nobody's: what all have is what the
// verdict has.
func TestSACut(t *testing.T) {
	p := loaded(t, plain)
	for _, size := range []int{14, 15, 18, 19, 20, 27} {
		if _, err := p.in.Run(&ebpf.RunOptions{Data: framed(peerSCI, 2, 1, 60)[:size]}); err != nil {
			t.Fatal(err)
		}
	}
	v, err := verdicts(p.held(portMapIngress))
	if err != nil || v.MACsec.Packets != 6 || forgotten(t, p) != 6 {
		t.Errorf("%d frames of MACsec, %d of nobody, %v; want 6", v.MACsec.Packets, forgotten(t, p), err)
	}
}
