package reconcile

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// The kernel has unreachable routes of IPv6 on lo: they can be made while that is
// down, as early at boot, and go when somebody takes it down. What is protected
// leaves by no other interface then either, and they are put back, lo up or not.
func TestLoopbackDown(t *testing.T) {
	probetest.Need(t, tunnelNeeds...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		ip := func(lines ...string) {
			t.Helper()
			for _, line := range lines {
				if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
					t.Fatalf("ip %s: %v: %s", line, err, out)
				}
			}
		}
		up(t, "eth1")
		g := desiredTun(1)
		g.Live = nil
		d := plan.Desired{Tunnels: []plan.Tunnel{g}}
		behind := func() (n int) {
			for _, r := range observe(t, k, d).Routes {
				if r.Type == plan.Unreachable && r.Prefix.Addr().Is6() {
					n++
				}
			}
			return n
		}
		applyAll(t, k, d, nil) // lo is down in a new namespace
		if n := behind(); n != 2 {
			t.Fatalf("lo is down: %d unreachable routes", n)
		}
		ip("link add name out0 type veth peer name out1", "link set out1 up", "link set out0 up", "-6 addr add 2001:db8:ffff::1/64 dev out0 nodad",
			"-6 neigh add 2001:db8:ffff::9 lladdr 02:00:00:00:00:09 dev out0", "-6 route add default via 2001:db8:ffff::9")
		c, err := net.ListenUDP("udp6", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		to := netip.AddrPortFrom(g.Protect[1].Addr().Next(), 9)
		send := func() error { _, err := c.WriteToUDPAddrPort([]byte("clear"), to); return err }
		if err := send(); err == nil {
			t.Error("it is reachable while no member is live")
		}
		for range 2 {
			ip("link set lo up", "link set lo down")
			if n := behind(); n != 0 {
				t.Fatalf("lo went down: %d unreachable routes", n)
			}
			before := k.Fenced().Packets
			_ = send()
			if after := k.Fenced().Packets; after != before+1 {
				t.Errorf("the fence held back %d packets; 1 was sent", after-before)
			}
			applyAll(t, k, d, nil)
			if n := behind(); n != 2 {
				t.Fatalf("lo is still down: %d unreachable routes", n)
			}
			if err := send(); err == nil {
				t.Error("it is reachable while no member is live")
			}
		}
	})
}
