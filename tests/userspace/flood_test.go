package userspace

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// Of an MKPDU: the source address, the MN, the CKN.
const (
	sourceAt = 6
	mnAt     = 42
	cknAt    = 50
)

// TestEAPOLFlood has somebody at the far end of the cable flood it with
// MKPDUs: first from unknown addresses and under unknown CKNs, which end in
// XDP; then with copies of the peer's, rising MN and a bad ICV, which only MKA
// can tell. The link stays secured, under the same SAK, and no datagram is lost.
func TestEAPOLFlood(t *testing.T) {
	p, heard, sender := newFlooded(t)
	before := p.settled(t)[0]
	d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
	d.flow(t, 100)

	// flood is one attack, and what west says after it. least is how many a second
	// make it one, where nothing else is to run.
	flood := func(name string, perSecond, least int, change func(n int, f []byte)) (s status.Port, sent int) {
		t.Helper()
		cpu, err := p.west.CPU()
		check(t, err)
		start := time.Now()
		sent, err = sender.Flood(perSecond, times(10*time.Second, 2*time.Second), heard, change)
		check(t, err)
		took := time.Since(start)
		if rate := float64(sent) / took.Seconds(); soak() && rate < float64(least) {
			t.Errorf("%s: %.0f MKPDUs a second were sent of %d; under %d it is no flood: is something else running?", name, rate, perSecond, least)
		}
		used, err := p.west.CPU()
		check(t, err)
		s = wait(t, "west's word", func(status.Port) bool { return true }, p.west)[0]
		d.flow(t, 20)
		if s.State != status.Secured || !s.SecuredSince.Equal(*before.SecuredSince) || s.Tx.Key != before.Tx.Key {
			t.Errorf("%s: %s since %v under %s; it was since %v under %s", name, s.State, s.SecuredSince, s.Tx.Key, before.SecuredSince, before.Tx.Key)
		}
		figure(t, "EAPOL flood, %s: %.0f MKPDUs a second sent; west's filter dropped %d of %d, its MKA took %d, with bad ICV %d; its daemon used %.0f %% of a processor",
			name, float64(sent)/took.Seconds(), s.Filter["ingress_eapol_limited_packets"]-before.Filter["ingress_eapol_limited_packets"], sent,
			s.Counters["mkpdus_received"]-before.Counters["mkpdus_received"], s.Counters["mkpdus_icv_bad"]-before.Counters["mkpdus_icv_bad"], 100*(used-cpu).Seconds()/took.Seconds())
		return s, sent
	}

	start := time.Now()
	s, sent := flood("from nowhere", 1_000_000, 200_000, nowhere(heard))
	// 20 of each of 257 budgets at once, then 4010 a second, and the peer's own.
	if most := uint64(257*20 + 100 + 4030*time.Since(start).Seconds()); s.Counters["mkpdus_received"]-before.Counters["mkpdus_received"] > most {
		t.Errorf("MKA had %d MKPDUs before the flood and %d after it; %d more at the most may pass", before.Counters["mkpdus_received"], s.Counters["mkpdus_received"], most)
	}
	if n := s.Filter["ingress_eapol_limited_packets"]; n == 0 || n > uint64(sent) {
		t.Errorf("of %d frames the filter limited %d", sent, n)
	}
	limited := false
	for _, e := range s.Events {
		limited = limited || e.Reason == "eapol_limited" && e.EtherType == "0x888e"
	}
	if !limited || s.EventCounters["ingress_eapol_limited"] == 0 {
		t.Errorf("the flood is in no event: %+v, %v", s.Events, s.EventCounters)
	}

	before = s
	mn := binary.BigEndian.Uint32(heard[mnAt:])
	s, _ = flood("copies of the peer's", 50_000, 40_000, func(n int, f []byte) {
		copy(f, heard)
		binary.BigEndian.PutUint32(f[mnAt:], mn+uint32(n)+1)
		f[len(f)-1] ^= 0xff
	})
	if s.Counters["mkpdus_icv_bad"] == before.Counters["mkpdus_icv_bad"] {
		t.Error("no copy reached MKA: it is the ICV that has to tell them")
	}
	d.end()
	if c := d.count(0, patience); c.lost+c.twice+c.wrong > 0 {
		t.Error(c)
	} else {
		figure(t, "EAPOL floods: %v", c)
	}
	if soak() {
		p.breakWith(t, sender, heard)
	}
}

// newFlooded is two ends that are secured, joined by a cable, an MKPDU of east's,
// and who sends to west in its place.
func newFlooded(t *testing.T) (*pair, []byte, *lab.Sender) {
	t.Helper()
	l := newLab(t, lab.Options{Names: []string{"west", "east"}})
	p := &pair{l, l.Appliances[0], l.Appliances[1], key(t)}
	check(t, p.configure(lab.Port{}), p.west.WriteKeys(p.key), p.east.WriteKeys(p.key))
	var mu sync.Mutex
	var heard []byte
	tap, err := lab.Listen(p.west, lab.Device, func(f lab.Frame) {
		if f.EtherType() == 0x888e && !f.Outgoing {
			mu.Lock()
			defer mu.Unlock()
			heard = bytes.Clone(f.Octets)
		}
	})
	check(t, err)
	// The station at the far end of the cable sends past east's filter, and has
	// its socket since before east has the guard.
	sender, err := lab.OpenSender(p.east, lab.Device, true)
	check(t, err)
	t.Cleanup(func() { sender.Close() })
	p.start(t)
	eventually(t, "an MKPDU of east's", func() bool { mu.Lock(); defer mu.Unlock(); return heard != nil })
	check(t, tap.Close())
	return p, heard, sender
}

// nowhere makes MKPDUs of an unknown address each, and every other one under an
// unknown CKN.
func nowhere(genuine []byte) func(n int, f []byte) {
	random := rand.New(rand.NewPCG(1, 2))
	return func(n int, f []byte) {
		binary.BigEndian.PutUint32(f[sourceAt+2:], random.Uint32())
		copy(f[cknAt:], genuine[cknAt:cknAt+16])
		if n%2 == 1 {
			binary.BigEndian.PutUint64(f[cknAt:], random.Uint64())
		}
	}
}

// TestRestartUnderFlood has either end killed and started again while it lasts:
// the hellos of one that is back have a budget of their own, at an end that is
// back they are still known.
func TestRestartUnderFlood(t *testing.T) {
	p, heard, sender := newFlooded(t)
	var stop atomic.Bool
	flooded := make(chan error, 1)
	go func() {
		change := nowhere(heard)
		for !stop.Load() {
			if _, err := sender.Flood(200_000, time.Second/10, heard, change); err != nil {
				flooded <- err
				return
			}
		}
		flooded <- nil
	}()
	was := p.settled(t)[0].Tx.Key
	for _, a := range []*lab.Appliance{p.east, p.west} {
		check(t, a.Kill())
		start := time.Now()
		check(t, a.Start())
		ports := wait(t, "both ends under a fresh SAK", func(s status.Port) bool { return lab.Settled(s, p.key.CKN) && s.Tx.Key != was }, p.both()...)
		was = ports[0].Tx.Key
		figure(t, "EAPOL flood: %s, killed and started, is secured with a fresh SAK, and the old SAs are gone, after %v", a.Name, time.Since(start).Round(time.Millisecond))
	}
	stop.Store(true)
	check(t, <-flooded)
	if s := p.settled(t)[0]; s.Filter["ingress_eapol_limited_packets"] == 0 {
		t.Errorf("the flood did not meet the limit: %v", s.Filter)
	}
}

// breakWith sends copies faster and faster until a datagram is lost or the link
// is, and prints the rate. A copy with a rising MN is what costs MKA most.
func (p *pair) breakWith(t *testing.T, sender *lab.Sender, heard []byte) {
	n := uint32(1 << 30)
	for rate := 100_000; ; rate *= 2 {
		d := sendDatagrams(t, inside(p.west), inside(p.east), 200)
		start := time.Now()
		sent, err := sender.Flood(rate, 5*time.Second, heard, func(_ int, f []byte) {
			n++
			binary.BigEndian.PutUint32(f[mnAt:], n)
			f[len(f)-1] = ^heard[len(heard)-1]
		})
		check(t, err)
		reached := float64(sent) / time.Since(start).Seconds()
		d.end()
		s, err := p.west.Status(t.Context())
		check(t, err)
		c := d.count(0, patience)
		if c.lost > 0 || s.State != status.Secured {
			figure(t, "EAPOL flood, copies: %.0f a second break it: %s, %v", reached, s.State, c)
			return
		}
		if reached < 0.9*float64(rate) {
			figure(t, "EAPOL flood, copies: %.0f a second, which is all that this machine sends, do not break it: %v", reached, c)
			return
		}
	}
}
