package interop

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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

// streamed is how many octets bulk sends each way: in short, some dozens of
// super-packets.
func streamed() int { return times(256<<20, 1<<20) }

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
	go func() { results <- lab.Stream(ctx, a, b, atB, streamed()) }()
	go func() { results <- lab.Stream(ctx, b, a, atA, streamed()) }()
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
	p.counted(t)
	bulk(t, p.west, p.east)
	sealed()
	return p.clean(t)
}

// counted waits until each end has received all frames that the other has
// protected: none is lost, none is counted twice. With strict order some are
// late, since the kernel's MACsec overtakes itself.
func (p *pair) counted(t *testing.T) {
	t.Helper()
	eventually(t, "each end to have validated what the other has protected", func() bool {
		ports := p.clean(t)
		return arrived(ports[0], ports[1]) && arrived(ports[1], ports[0])
	})
}

func arrived(from, to status.Port) bool {
	c := to.Counters
	return from.Counters["out_pkts_protected"]+from.Counters["out_pkts_encrypted"] == c["in_pkts_ok"]+c["in_pkts_delayed"]+c["in_pkts_late"]
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

// TestUserspaceKernel has a SecY in user space, west's, and one of the kernel on
// a link: each suite, either end as key server, each option. In short two links,
// with one of each kind of suite, each end as key server, and three options.
func TestUserspaceKernel(t *testing.T) {
	t.Parallel()
	type link struct {
		cipher  string
		server  int // west 0, east 1
		options []string
	}
	links := []link{
		{"gcm-aes-256", 1, []string{"send_sci: false", "replay_window: 0"}},
		{"gcm-aes-xpn-128", 0, []string{"encrypt: false"}},
	}
	if soak() {
		links = nil
		for _, cipher := range []string{"gcm-aes-128", "gcm-aes-256", "gcm-aes-xpn-128", "gcm-aes-xpn-256"} {
			for server := range 2 {
				for _, options := range [][]string{nil, {"send_sci: false"}, {"encrypt: false"}, {"replay_window: 0"}, {"replay_window: 64"}} {
					links = append(links, link{cipher, server, options})
				}
			}
		}
	}
	for _, c := range links {
		server := [2]string{"west", "east"}[c.server]
		t.Run(fmt.Sprintf("%s, key server %s, %v", c.cipher, server, c.options), func(t *testing.T) {
			t.Parallel()
			priority := [2]int{loses, loses}
			priority[c.server] = wins
			p := newUserspace(t, lab.Options{}, lab.Port{Cipher: c.cipher, Priority: priority[0], Extra: c.options},
				lab.Port{Cipher: c.cipher, Priority: priority[1], Extra: c.options})
			sends, never := "out_pkts_encrypted", "out_pkts_protected"
			if slices.Contains(c.options, "encrypt: false") {
				sends, never = never, sends
			}
			for i, s := range p.carriesAll(t, "AF_XDP") {
				a := p.both()[i]
				if s.Cipher != c.cipher || s.Counters[sends] == 0 || s.Counters[never] != 0 {
					t.Errorf("%s: cipher %s, counters %v", a.Name, s.Cipher, s.Counters)
				}
				for _, m := range s.Participants {
					if m.KeyServer != (a.Name == server) {
						t.Errorf("%s: key server %v", a.Name, m.KeyServer)
					}
				}
			}
		})
	}
}
