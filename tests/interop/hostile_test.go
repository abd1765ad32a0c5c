package interop

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestHostileWire has an attacker on the same bridge send 10,000 MKPDUs a
// second: malformed, replayed, with a wrong ICV, under an unknown CKN. The link
// stays secured, no datagram is lost, the daemons' memory stays flat, and
// counters name each kind.
func TestHostileWire(t *testing.T) {
	p := newPair(t, lab.Options{Names: []string{"mallory"}}, lab.Port{})
	mallory := p.Appliances[2]
	// The attacker speaks in the ends' names; that the bridge believes it
	// would cut the ends off, whatever they encrypt.
	check(t, p.DoNotLearn(2))
	var mu sync.Mutex
	heard := map[string][]byte{} // the latest MKPDU of each end
	tap, err := lab.Listen(mallory, lab.Device, func(f lab.Frame) {
		if f.EtherType() == 0x888e && !f.Outgoing {
			mu.Lock()
			heard[f.Source()] = bytes.Clone(f.Octets)
			mu.Unlock()
		}
	})
	check(t, err)
	ports := p.start(t)
	eventually(t, "MKPDUs of both ends", func() bool { mu.Lock(); defer mu.Unlock(); return len(heard) == 2 })
	tap.Close()

	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 50)
	sender, err := lab.OpenSender(mallory, lab.Device, false)
	check(t, err)
	defer sender.Close()
	frames := attack(heard)
	// What is allocated once is allocated now.
	flood(t, sender, frames, times(5*time.Second, time.Second/2))
	before := [2]int{resident(t, p.west), resident(t, p.east)}
	sent, rate := 0, 0.0
	for try := 0; rate < 9500 && try < times(1, 5); try++ { // this guest may have to wait for a processor
		start := time.Now()
		n := flood(t, sender, frames, times(30*time.Second, 2*time.Second))
		sent, rate = sent+n, float64(n)/time.Since(start).Seconds()
	}
	after := [2]int{resident(t, p.west), resident(t, p.east)}

	ports2 := wait(t, "both ends' word", func(s status.Port) bool { return true }, p.both()...)
	c := x.Stop()
	for i, s := range ports2 {
		a := p.both()[i]
		if s.State != status.Secured || !s.SecuredSince.Equal(*ports[i].SecuredSince) || s.Tx.Key != ports[i].Tx.Key {
			t.Errorf("%s: %s since %v under %s; it was since %v under %s", a.Name, s.State, s.SecuredSince, s.Tx.Key, ports[i].SecuredSince, ports[i].Tx.Key)
		}
		for _, name := range []string{"mkpdus_icv_bad", "mkpdus_replayed", "mkpdus_unknown_ckn", "mkpdus_own_mi", "mkpdus_malformed",
			"mkpdus_malformed_body_short", "mkpdus_malformed_mka_version", "mkpdus_malformed_agility", "mkpdus_malformed_set_overrun"} {
			if s.Counters[name] == 0 {
				t.Errorf("%s: counter %s is 0: %v", a.Name, name, s.Counters)
			}
		}
		if grown := after[i] - before[i]; grown > 8<<10 {
			t.Errorf("%s: resident memory grew by %d KiB, from %d", a.Name, grown, before[i])
		}
	}
	if c.Lost() > 0 {
		t.Error(c)
	}
	if rate < 9500 && os.Getenv("LINKSEAL_STEADY") == "1" {
		t.Errorf("%.0f MKPDUs a second were sent; 10,000 are wanted", rate)
	}
	seen := ports2[1].Counters
	figure(t, "hostile wire: %d MKPDUs, %.0f a second: secured throughout, %d of %d datagrams lost, resident memory %d to %d KiB; east counted %d bad ICVs, %d replayed, %d malformed, %d of unknown CKN, %d of its own MI",
		sent, rate, c.Lost(), c.Sent, before[1], after[1], seen["mkpdus_icv_bad"], seen["mkpdus_replayed"], seen["mkpdus_malformed"], seen["mkpdus_unknown_ckn"], seen["mkpdus_own_mi"])
}

// attack makes hostile MKPDUs of genuine ones. Offsets: Ethernet 14, EAPOL 4,
// Basic Parameter Set from 18.
func attack(genuine map[string][]byte) (frames [][]byte) {
	for _, g := range genuine {
		change := func(f func(b []byte) []byte) { frames = append(frames, f(bytes.Clone(g))) }
		set := func(at int, v byte) { change(func(b []byte) []byte { b[at] ^= v; return b }) }
		frames = append(frames, bytes.Clone(g))                                                        // replayed
		set(len(g)-1, 0xff)                                                                            // wrong ICV
		set(18+4+8+3, 0x55)                                                                            // another SCI and MI, and so a wrong ICV
		set(18+32, 0xff)                                                                               // unknown CKN
		set(18, g[18])                                                                                 // MKA version 0
		set(18+28, 0xff)                                                                               // algorithm agility
		change(func(b []byte) []byte { b[16], b[17] = 0, 16; return b[:34] })                          // short body
		change(func(b []byte) []byte { return b[:20] })                                                // truncated
		change(func(b []byte) []byte { b[18+2] |= 0x0f; b[18+3] = 0xff; return b })                    // Basic set overruns
		change(func(b []byte) []byte { n := 18 + 4 + 28 + 16; b[n+2], b[n+3] = 0x0f, 0xff; return b }) // next set overruns
	}
	return frames
}

// flood sends the frames over and over, 10 each millisecond, and returns how
// many it sent.
func flood(t *testing.T, s *lab.Sender, frames [][]byte, d time.Duration) (sent int) {
	t.Helper()
	const perSecond = 10_000
	start := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for since := time.Duration(0); since < d; since = time.Since(start) {
		// What a late tick left out is made up for, within reason.
		for due := min(int(since.Seconds()*perSecond), sent+20); sent < due; sent++ {
			check(t, s.Send(frames[sent%len(frames)]))
		}
		<-tick.C
	}
	return sent
}

// resident is the resident memory of an appliance's daemon in KiB.
func resident(t *testing.T, a *lab.Appliance) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid()))
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			check(t, err)
			return n
		}
	}
	t.Fatalf("no VmRSS of process %d", a.Pid())
	return 0
}
