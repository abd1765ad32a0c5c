package reconcile

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
)

// However many tunnels are on a device, a status asks for its flows once, and each
// tunnel has its own.
func TestFlowsOncePerDevice(t *testing.T) {
	m := newMachine("eth1", "eth2")
	local := netip.MustParseAddr("10.0.0.4")
	var all []tunnelView
	const n = 1000
	for i := range n {
		remote := netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)})
		c := config.Tunnel{Name: fmt.Sprint(i), Device: []string{"eth1", "eth2"}[i%2], Must: true, Local: local, Remote: remote, Count: 1}
		protocol, port := "esp", uint16(4500)
		if i%4 < 2 {
			c.IPsec = &config.IPsec{}
		} else {
			protocol, port = "wireguard", uint16(20000+16*i)
			c.WireGuard = &config.WireGuard{Port: port}
		}
		all = append(all, tunnelView{cfg: c})
		m.flows = append(m.flows, status.Flow{Protocol: protocol, Local: netip.AddrPortFrom(local, port).String(), Remote: netip.AddrPortFrom(remote, port).String(), Traffic: status.Traffic{Packets: uint64(i)}})
		if c.WireGuard != nil { // a peer that roams
			m.flows = append(m.flows, status.Flow{Protocol: protocol, Local: netip.AddrPortFrom(local, port).String(), Remote: "any", Traffic: status.Traffic{Packets: uint64(i)}})
		}
	}
	below := newUnderlays(m)
	for i, v := range all {
		got := v.report(below).Flows
		want := 1
		if v.cfg.WireGuard != nil {
			want = 2
		}
		if len(got) != want || got[0].Packets != uint64(i) || got[len(got)-1].Packets != uint64(i) {
			t.Fatalf("tunnel %d has the flows %+v", i, got)
		}
	}
	if d := cmp.Diff([]string{"flows eth1", "fenced", "flows eth2"}, m.asked, cmp.Transformer("set", func(list []string) map[string]int {
		n := make(map[string]int)
		for _, s := range list {
			n[s]++
		}
		return n
	})); d != "" {
		t.Errorf("what was asked of the machine (-want +got):\n%s", d)
	}
}
