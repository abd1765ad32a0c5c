package interop

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// newUserspace is a pair with west's SecY in user space, east's in the kernel,
// and a bridge between them: what AF_XDP sends west cannot watch.
func newUserspace(t *testing.T, o lab.Options, west, east lab.Port) *pair {
	t.Helper()
	west.Dataplane, east.Dataplane = userspace, kernel
	o.Bridge = true
	return newEnds(t, o, west, east)
}

// bridged is wires at the bridge.
func (p *pair) bridged(t *testing.T) (sealed func()) {
	t.Helper()
	w, err := p.WatchBridge(0)
	check(t, err)
	return watched(t, "of west", w)
}

// segments is what bulk sends each way: some hundreds of super-packets.
func segments() int { return times(256<<20, 2<<20) }

// bulk sends a stream each way, both at once.
func bulk(t *testing.T, a, b *lab.Appliance) {
	t.Helper()
	bulkTo(t, a, b, a.Address.Addr(), b.Address.Addr())
}

// bulkTo is bulk to other addresses.
func bulkTo(t *testing.T, a, b *lab.Appliance, atA, atB netip.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	results := make(chan error, 2)
	go func() { results <- lab.Stream(ctx, a, b, atB, segments()) }()
	go func() { results <- lab.Stream(ctx, b, a, atA, segments()) }()
	check(t, errors.Join(<-results, <-results))
}

// carriesAll starts both ends and demands west's path to the port, traffic both
// ways, that no frame of it is missing, streams both ways, and nothing in clear.
func (p *pair) carriesAll(t *testing.T, portIO string) []status.Port {
	t.Helper()
	sealed := p.bridged(t)
	ports := p.start(t)
	if ports[0].Dataplane != userspace || !strings.HasPrefix(ports[0].PortIO, portIO) {
		t.Errorf("west: dataplane %s by %s; want %s by %s", ports[0].Dataplane, ports[0].PortIO, userspace, portIO)
	}
	carries(t, p.west, p.east)
	carries(t, p.east, p.west)
	p.counted(t)
	bulk(t, p.west, p.east)
	nothingToPlan(t, p.both()...)
	sealed()
	return p.clean(t)
}

// counted waits until each end has validated all frames that the other has
// protected: none is lost, none is counted twice.
func (p *pair) counted(t *testing.T) {
	t.Helper()
	eventually(t, "each end to have validated what the other has protected", func() bool {
		ports := p.clean(t)
		return arrived(ports[0], ports[1]) && arrived(ports[1], ports[0])
	})
}

func arrived(from, to status.Port) bool {
	return from.Counters["out_pkts_protected"]+from.Counters["out_pkts_encrypted"] == to.Counters["in_pkts_ok"]+to.Counters["in_pkts_delayed"]
}

// wrong are the counters of frames that a peer which does right never sends.
// Not in_pkts_dropped: the peer may send an instant before the port opens here.
// Not in_pkts_late and in_pkts_delayed: the kernel's MACsec overtakes itself
// under load, both ways, since its AES-GCM is asynchronous while a thread that
// was interrupted has the FPU.
var wrong = []string{
	"in_pkts_bad_tag", "in_pkts_no_sci", "in_pkts_unknown_sci", "in_pkts_untagged", "in_pkts_not_valid", "in_pkts_invalid",
	"in_pkts_unchecked", "in_pkts_not_using_sa", "in_pkts_unused_sa", "out_pkts_too_long", "out_pkts_untagged",
}

// clean demands that neither end has found anything wrong with a frame.
func (p *pair) clean(t *testing.T) []status.Port {
	t.Helper()
	ports := wait(t, "the counters", secured, p.both()...)
	for i, s := range ports {
		for _, name := range wrong {
			if s.Counters[name] != 0 {
				t.Errorf("%s: %s is %d", p.both()[i].Name, name, s.Counters[name])
			}
		}
		// The kernel counts EAPOL too.
		if n := s.Counters["in_pkts_no_tag"]; n > 0 && s.Dataplane == userspace {
			t.Errorf("%s: in_pkts_no_tag is %d", p.both()[i].Name, n)
		}
	}
	return ports
}

// TestUserspaceSuites has a SecY in user space and one of the kernel on a link,
// with each suite, and with either as key server. In short, each suite with one
// of them.
func TestUserspaceSuites(t *testing.T) {
	t.Parallel()
	for i, cipher := range []string{"gcm-aes-128", "gcm-aes-256", "gcm-aes-xpn-128", "gcm-aes-xpn-256"} {
		for server, name := range []string{"west", "east"} {
			if !soak() && i%2 != server {
				continue
			}
			t.Run(cipher+", key server "+name, func(t *testing.T) {
				t.Parallel()
				prio := [2]int{wins, loses}
				p := newUserspace(t, lab.Options{}, lab.Port{Cipher: cipher, Priority: prio[server]}, lab.Port{Cipher: cipher, Priority: prio[1-server]})
				for i, s := range p.carriesAll(t, "AF_XDP") {
					if s.Cipher != cipher || s.Counters["out_pkts_encrypted"] == 0 {
						t.Errorf("cipher %s, counters %v", s.Cipher, s.Counters)
					}
					for _, m := range s.Participants {
						if m.KeyServer != (i == server) {
							t.Errorf("%s: key server %v", p.both()[i].Name, m.KeyServer)
						}
					}
				}
			})
		}
	}
}

func TestUserspaceOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, sends string }{
		{"integrity only", "encrypt: false", "out_pkts_protected"},
		{"no SCI", "send_sci: false", "out_pkts_encrypted"},
		{"replay window 0", "replay_window: 0", "out_pkts_encrypted"},
		{"replay window 64", "replay_window: 64", "out_pkts_encrypted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			port := lab.Port{Extra: []string{c.line}}
			p := newUserspace(t, lab.Options{}, port, port)
			for i, s := range p.carriesAll(t, "AF_XDP") {
				if s.Counters[c.sends] == 0 {
					t.Errorf("%s: counters %v", p.both()[i].Name, s.Counters)
				}
			}
		})
	}
}

// TestUserspacePair has both SecYs in user space, which also a machine without
// MACsec can: in the strictest window, under load, no frame is out of order.
func TestUserspacePair(t *testing.T) {
	t.Parallel()
	port := lab.Port{Dataplane: userspace, Extra: []string{"replay_window: 0"}}
	p := newPair(t, lab.Options{Bridge: true}, port)
	ports := p.carriesAll(t, "AF_XDP")
	var late, of uint64
	for i, s := range ports {
		late += s.Counters["in_pkts_late"]
		of += s.Counters["in_pkts_ok"]
		if s.Counters["in_pkts_late"]+s.Counters["in_pkts_delayed"] > 0 {
			t.Errorf("%s: counters %v", p.both()[i].Name, s.Counters)
		}
	}
	figure(t, "user space to user space, replay_window 0, streams both ways: %d of %d frames late", late, of)
}
