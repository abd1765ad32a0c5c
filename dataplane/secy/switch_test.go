package secy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// TestKernelSwitch moves the pair from AN to AN, make before break, as fast as
// it goes while traffic runs.
func TestKernelSwitch(t *testing.T) {
	for _, suite := range []sa.Suite{sa.GCMAES256, sa.GCMAESXPN256} {
		t.Run(suite.String(), func(t *testing.T) {
			a, b := wire(t, suite, Options{})
			for _, e := range []*end{a, b} {
				e.quiet = e.gate
				must(t, e.ns.Do(func() error { return bpf.PrepareGate(e.parent, e.ifindex) }))
			}
			secure(a, b, 0, 1)
			tap := a.tap()
			const n = 150
			result := make(chan string, 1)
			go func() {
				out, _ := a.ping(n, 5)
				result <- out
			}()
			out, switches, torn := "", 0, 0
			for ; out == ""; switches++ {
				torn += switchOver(t, a, b, uint32(switches+2))
				select {
				case out = <-result:
				default:
				}
			}
			t.Logf("%d switches, %d frames torn\n%s", switches, torn, out)
			if switches < 4 {
				t.Error("not every AN had its turn")
			}
			var received int
			if i := strings.Index(out, " packets transmitted, "); i >= 0 {
				fmt.Sscanf(out[i:], " packets transmitted, %d received", &received)
			}
			// A torn frame is a request or a reply, and an address resolution
			// at times.
			if received < n-torn {
				t.Errorf("%d of %d lost, %d torn; %+v; %+v", n-received, n, torn, a.counters(), b.counters())
			}
			if f := tap.frames(a); len(f) != 1 || f[etherMACsec] < n {
				t.Errorf("frames by EtherType: %v", f)
			}
			if got := a.table(); len(got.Tx) != 1 || len(got.Rx) != 1 || got.Tx[0].AN != got.Encoding {
				t.Errorf("left over: %+v", got)
			}
		})
	}
}

// gate is Options.Quiet as the daemon has it.
func (e *end) gate(change func() error) error {
	return e.ns.Do(func() error {
		g, err := bpf.OpenGate(e.ifindex, e.parent)
		if err != nil {
			return err
		}
		_, err = g.While(change)
		return errors.Join(err, g.Close())
	})
}

// sent is how many frames left under an AN.
func sent(c Counters, an uint8) uint64 {
	for _, a := range c.TxSAs {
		if a.AN == an {
			return a.OutPktsEncrypted
		}
	}
	return 0
}

// received is how many frames came under an AN, in order.
func received(c Counters, an uint8) uint64 {
	for _, sc := range c.RxSCs {
		for _, a := range sc.SAs {
			if a.AN == an {
				return a.InPktsOK
			}
		}
	}
	return 0
}

// switchOver moves both ends from key kn-1 to kn. It returns how many frames
// the kernel tore, in spite of the gate: it opens by itself when a processor
// stands still for long enough, as emulated ones do that take turns. The peer
// counts such a frame in InPktsNotValid.
func switchOver(t *testing.T, a, b *end, kn uint32) (torn int) {
	t.Helper()
	old, an := uint8((kn-2)%4), uint8((kn-1)%4)
	before := map[*end]Counters{}
	for _, e := range []*end{a, b} {
		before[e] = e.counters()
	}
	for _, kind := range []sa.ChangeKind{sa.InstallRx, sa.InstallTx, sa.Encode} {
		a.apply(kind, an, kn)
		b.apply(kind, an, kn)
	}
	// The last frame under the old key has arrived when the peer has seen as
	// many as were sent. PNs do not tell: frames overtake one another between
	// processors.
	deadline := time.Now().Add(10 * time.Second)
	for _, e := range []*end{a, b} {
		for {
			out, c := sent(e.counters(), old), e.other.counters()
			bad := c.InPktsNotValid - before[e.other].InPktsNotValid
			delayed := c.InPktsDelayed - before[e.other].InPktsDelayed
			in := received(c, old)
			if out <= in+bad+delayed {
				torn += int(bad)
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("an %d: %d sent, %d received, %d not valid and %d delayed", old, out, in, bad, delayed)
			}
		}
	}
	for _, e := range []*end{a, b} {
		e.apply(sa.DeleteTx, old, kn-1)
		e.apply(sa.DeleteRx, old, kn-1)
	}
	return torn
}
