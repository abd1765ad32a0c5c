package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// secured starts a pair, and demands traffic both ways and nothing in clear.
func (p *pair) secured(t *testing.T) []status.Port {
	t.Helper()
	sealed := wires(t, p.both()...)
	ports := p.start(t)
	carries(t, p.west, p.east)
	carries(t, p.east, p.west)
	sealed()
	return ports
}

func TestPairSuites(t *testing.T) {
	t.Parallel()
	for _, cipher := range []string{"gcm-aes-128", "gcm-aes-256", "gcm-aes-xpn-128", "gcm-aes-xpn-256"} {
		t.Run(cipher, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, lab.Options{}, lab.Port{Cipher: cipher})
			for _, s := range p.secured(t) {
				if s.Cipher != cipher || s.Dataplane != kernel || !strings.HasPrefix(s.DataplaneReason, "auto: ") || s.PortIO != "" {
					t.Errorf("cipher %s, dataplane %s, %s, port_io %q", s.Cipher, s.Dataplane, s.DataplaneReason, s.PortIO)
				}
			}
			for _, a := range p.both() {
				out, err := a.NS.Command("ip", "macsec", "show", lab.Interface).CombinedOutput()
				check(t, err)
				if want := "cipher suite: " + strings.ToUpper(cipher); !strings.Contains(string(out), want) {
					t.Errorf("%s: the kernel's device has no %q:\n%s", a.Name, want, out)
				}
			}
		})
	}
}

func TestPairOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, device string }{
		{"integrity only", "encrypt: false", "encrypt off"},
		{"no SCI", "send_sci: false", "send_sci off"},
		{"replay window 0", "replay_window: 0", "replay on window 0"},
		{"replay window 64", "replay_window: 64", "replay on window 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, lab.Options{}, lab.Port{Extra: []string{c.line}})
			p.secured(t)
			for _, a := range p.both() {
				out, err := a.NS.Command("ip", "-d", "link", "show", lab.Interface).CombinedOutput()
				check(t, err)
				if !strings.Contains(string(out), c.device) {
					t.Errorf("%s: no %q in\n%s", a.Name, c.device, out)
				}
			}
		})
	}
}

// Three members of a CA on a bridge: all pairs exchange traffic, and a member
// that leaves and comes back does not disturb the others.
func TestThreeMembers(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{Names: []string{"south"}}, lab.Port{})
	south := p.Appliances[2]
	check(t, south.WriteConfig(lab.Port{}), south.WriteKeys(p.key))
	sealed := wires(t, p.Appliances...)
	check(t, p.west.Start(), p.east.Start(), south.Start())
	together := func() []status.Port {
		return wait(t, "three members under one SAK", func(s status.Port) bool {
			return lab.Settled(s, p.key.CKN) && len(s.Rx) == 2 && livePeers(s) == 2
		}, p.Appliances...)
	}
	ports := together()
	for _, s := range ports[1:] {
		if s.Tx.Key != ports[0].Tx.Key {
			t.Errorf("SAK %s at one member, %s at another", s.Tx.Key, ports[0].Tx.Key)
		}
	}
	nothingToPlan(t, p.Appliances...)
	for _, from := range p.Appliances {
		for _, to := range p.Appliances {
			if from != to {
				carries(t, from, to)
			}
		}
	}
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 20)
	check(t, south.Kill()) // stopped, it would be kept for its suspension
	wait(t, "the third to be let go", func(s status.Port) bool { return livePeers(s) == 1 && lab.Settled(s, p.key.CKN) }, p.both()...)
	check(t, south.Start())
	together()
	flows(t, x, 20)
	c := x.Stop()
	if c.Lost() > 0 {
		t.Errorf("between two while the third went and came: %v", c)
	}
	carries(t, south, p.west)
	sealed()
	figure(t, "third member of a CA killed and started: %d of %d datagrams lost between the other two", c.Lost(), c.Sent)
}

func livePeers(s status.Port) (n int) {
	for _, m := range s.Participants {
		if m.Principal {
			for _, q := range m.Peers {
				if q.Live {
					n++
				}
			}
		}
	}
	return n
}
