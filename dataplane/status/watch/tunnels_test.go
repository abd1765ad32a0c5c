package watch

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// tunnels are those of the example: WireGuard of two members of which one is
// dead, IPsec, and one that is down and should be secure.
func tunnels() []status.Tunnel {
	trip, none, lost := 0.0021, 0.0, 1.0
	flow := func(protocol, direction, remote, spi string, packets, gaps uint64) status.Flow {
		return status.Flow{Protocol: protocol, Direction: direction, Local: "10.0.0.4:51820", Remote: remote, SPI: spi,
			Traffic: status.Traffic{Packets: packets, Octets: 100 * packets, LastSeen: at(-time.Second)}, Gaps: gaps}
	}
	return []status.Tunnel{
		{Name: "hub1", Type: "wireguard", Dataplane: "kernel", State: status.Secured, Since: at(-time.Hour), Passing: status.PassingProtected,
			ClearRoutes: []string{"10.20.0.0/16 by eth2 in table 254"},
			Members: []status.Member{
				{N: 0, Interface: "wg-hub1", Live: true, Remote: "10.20.0.5:51820", Handshake: at(-40 * time.Second), KeyID: "psk-2026-11",
					RxOctets: 5000, TxOctets: 6000, RxPackets: 50, TxPackets: 60, Rekeys: 30, RTT: &trip, ProbeLost: &none},
				{N: 1, Interface: "wg-hub1-1", Problem: "no handshake for 200 s", RTT: &none, ProbeLost: &lost}},
			Flows: []status.Flow{flow("wireguard", "egress", "10.20.0.5:51820", "", 62, 0), flow("wireguard", "ingress", "any", "", 51, 0),
				{Protocol: "wireguard", Direction: "ingress", Local: "10.0.0.4:51821", Remote: "any"}},
			Filter: map[string]uint64{"egress_protected_packets": 2, "ingress_protected_packets": 1}},
		{Name: "hub2", Type: "ipsec", Dataplane: "kernel", State: status.Unsecured, Since: at(-time.Minute), Passing: status.PassingNone,
			Problem: "the peer accepts no ESP proposal", Remedy: "esp: [aes256gcm16-ecp384]", KeysError: "torn",
			Members: []status.Member{{N: 0, Interface: "ipsec-hub2", Problem: "the peer accepts no ESP proposal"}},
			Flows:   []status.Flow{flow("esp", "ingress", "10.30.0.5:0", "c0ffee01", 39, 1)}},
		{Name: "hub3", Type: "ipsec", Dataplane: "userspace", State: status.Down, Passing: status.PassingClear},
	}
}

// grown has the tunnels of the example carry more: a new SA has no rate.
func grown(wireguard, ipsec *status.Tunnel) {
	m := &wireguard.Members[0]
	m.RxPackets, m.RxOctets, m.TxPackets, m.TxOctets = m.RxPackets+1000, m.RxOctets+1_000_000, m.TxPackets+500, m.TxOctets+50_000
	wireguard.Flows[0].Packets += 500
	wireguard.Flows[0].Octets += 80_000
	wireguard.Filter["egress_protected_packets"] += 5
	ipsec.Flows[0].SPI = "c0ffee02"
}

func TestPackets(t *testing.T) {
	for _, c := range []struct {
		m    status.Member
		want string
	}{
		{status.Member{RxOctets: 9000}, "-"},
		{status.Member{RxOctets: 9000, RxPackets: 9}, "7.0"},
		{status.Member{}, "7.0"},
	} {
		if got := packets(7, c.m); got != c.want {
			t.Errorf("%+v: %q, want %q", c.m, got, c.want)
		}
	}
}
