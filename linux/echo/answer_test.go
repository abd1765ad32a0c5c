package echo

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// Two hosts have the same two addresses on two wires. What is asked over the
// second is answered over the first, by the kernel, and over the second by an
// Answerer.
func TestAnswer(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth, probe.CapNetRaw)
	near, far := host(t), host(t)
	ip(t, near, "link add name w0 type veth peer name w0 netns "+far.Path())
	ip(t, near, "link add name w1 type veth peer name w1 netns "+far.Path())
	for i, ns := range []*netns.NS{near, far} {
		for _, w := range []string{"w0", "w1"} {
			ip(t, ns, "link set dev "+w+" address 02:00:00:00:00:0"+string(rune('1'+i))+" up")
			ip(t, ns, "addr add 192.0.2."+string(rune('1'+i))+"/32 dev "+w)
			ip(t, ns, "-6 addr add 2001:db8::"+string(rune('1'+i))+"/128 dev "+w+" nodad")
		}
		other := string(rune('2' - i))
		for n, w := range []string{"w0", "w1"} {
			metric := " metric 10" + string(rune('0'+n))
			ip(t, ns, "route add 192.0.2."+other+" dev "+w+metric)
			ip(t, ns, "-6 route add 2001:db8::"+other+" dev "+w+metric)
			ip(t, ns, "neigh replace 192.0.2."+other+" lladdr 02:00:00:00:00:0"+other+" dev "+w)
			ip(t, ns, "-6 neigh replace 2001:db8::"+other+" lladdr 02:00:00:00:00:0"+other+" dev "+w)
		}
	}
	for _, c := range []struct{ local, remote string }{{"192.0.2.2", "192.0.2.1"}, {"2001:db8::2", "2001:db8::1"}} {
		local, remote := netip.MustParseAddr(c.local), netip.MustParseAddr(c.remote)
		ask := func(device string, patience time.Duration) error {
			var s *Socket
			if err := near.Do(func() (err error) { s, err = Open(device, local); return err }); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Send(7); err != nil {
				t.Fatal(err)
			}
			_, err := s.Receive(time.Now().Add(patience))
			return err
		}
		if err := ask("w0", 10*time.Second); err != nil {
			t.Fatalf("%s over the wire that is routed: %v", local, err)
		}
		if err := ask("w1", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s over the other: %v; this test shows nothing here", local, err)
		}
		var a *Answerer
		if err := far.Do(func() (err error) { a, err = Answer("w1", local, remote); return err }); err != nil {
			t.Fatal(err)
		}
		if err := ask("w1", 10*time.Second); err != nil {
			t.Errorf("%s over the other, answered: %v", local, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func host(t *testing.T) *netns.NS {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func ip(t *testing.T, ns *netns.NS, args string) {
	t.Helper()
	if out, err := ns.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}
