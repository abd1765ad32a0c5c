package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/linkseal/linkseal/dataplane/status"
)

// tunnels are those of the example: WireGuard of two members, one of which is
// dead, IPsec on the same device in the middle of a rekey, and one that is down.
func tunnels() []status.Tunnel {
	filter := map[string]uint64{"egress_tunnel_packets": 9, "egress_tunnel_octets": 990, "egress_protected_packets": 2, "egress_protected_octets": 196,
		"ingress_protected_packets": 1, "ingress_protected_octets": 98, "ingress_clear_packets": 5, "ingress_clear_octets": 500}
	rtt, none, lost := 0.0021, 0.0, 1.0
	flow := func(protocol, direction, local, remote, spi string, packets, gaps uint64) status.Flow {
		return status.Flow{Protocol: protocol, Direction: direction, Local: local, Remote: remote, SPI: spi,
			Traffic: status.Traffic{Packets: packets, Octets: 100 * packets, LastSeen: before(time.Second)}, Gaps: gaps}
	}
	return []status.Tunnel{
		{Name: "hub1", Type: "wireguard", Device: "eth1", Interface: "wg-hub1", Dataplane: "kernel", State: status.Secured, Since: before(time.Hour), Secure: "must",
			Local: "10.0.0.4", Remote: "10.20.0.5", Protect: []string{"10.20.0.0/16"}, Passing: status.PassingProtected, Keychains: []string{"hub1-psk"},
			Fenced: &status.Fenced{Packets: 7, Octets: 700}, ClearRoutes: []string{"10.20.0.0/16 by eth2 in table 254"},
			Members: []status.Member{
				{N: 0, Interface: "wg-hub1", Live: true, Local: "10.0.0.4:51820", Remote: "10.20.0.5:51820", Handshake: before(40 * time.Second), KeyID: "psk-2026-11",
					RxOctets: 5000, TxOctets: 6000, RxPackets: 50, TxPackets: 60, Rekeys: 30, RTT: &rtt, ProbeLost: &none},
				{N: 1, Interface: "wg-hub1-1", Problem: "no handshake for 200 s", RTT: &none, ProbeLost: &lost}},
			Flows:  []status.Flow{flow("wireguard", "egress", "10.0.0.4:51820", "10.20.0.5:51820", "", 62, 0), flow("wireguard", "ingress", "10.0.0.4:51820", "any", "", 51, 0)},
			Filter: filter},
		{Name: "hub2", Type: "ipsec", Device: "eth1", Interface: "ipsec-hub2", Dataplane: "kernel", State: status.Unsecured, Secure: "must", Local: "10.0.0.4", Remote: "10.30.0.5",
			Passing: status.PassingNone, Problem: "the peer accepts no ESP proposal", KeysError: "torn",
			Members: []status.Member{{N: 0, Interface: "ipsec-hub2", Handshake: before(time.Hour), IKE: "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384", ESP: "AES_GCM_16_256/ECP_384",
				SPIIn: []string{"c0ffee01"}, SPIOut: []string{"0a0b0c0d"}, Rekeys: 3}},
			Flows: []status.Flow{flow("esp", "egress", "10.0.0.4:0", "10.30.0.5:0", "0a0b0c0d", 40, 0), flow("esp", "ingress", "10.0.0.4:0", "10.30.0.5:0", "c0ffee01", 39, 1),
				flow("ike", "egress", "10.0.0.4:500", "10.30.0.5:500", "", 4, 0)},
			Filter: filter},
		{Name: "hub3", Type: "ipsec", Device: "eth2", Interface: "ipsec-hub3", Dataplane: "userspace", State: status.Down, Secure: "should", Local: "10.0.1.4", Remote: "10.40.0.5", Passing: status.PassingClear},
	}
}

// A scrape of a tunnel has no more than so many series, whatever the filter has.
func TestTunnelBounded(t *testing.T) {
	all := tunnels()[:1]
	all[0].Flows = nil
	for i := range 10 * maxFlows {
		all[0].Flows = append(all[0].Flows, status.Flow{Protocol: "esp", Direction: "ingress", Local: "10.0.0.4:0", Remote: "10.20.0.5:0", SPI: fmt.Sprintf("%08x", i+256)})
	}
	c := collector(status.Status{Tunnels: all})
	for _, name := range []string{"linkseal_tunnel_flow_packets_total", "linkseal_tunnel_flow_bytes_total", "linkseal_tunnel_flow_missing_packets"} {
		if n := testutil.CollectAndCount(c, name); n != maxFlows {
			t.Errorf("%s: %d series, want %d", name, n, maxFlows)
		}
	}
}

// A device below several tunnels is told once.
func TestUnderlayOnce(t *testing.T) {
	want := `
# HELP linkseal_underlay_packets_total Frames at the filter of a device below must-secure tunnels, by its verdict; protected are of what a tunnel protects, in clear, and do not pass.
# TYPE linkseal_underlay_packets_total counter
linkseal_underlay_packets_total{device="eth1",direction="egress",verdict="protected"} 2
linkseal_underlay_packets_total{device="eth1",direction="egress",verdict="tunnel"} 9
linkseal_underlay_packets_total{device="eth1",direction="ingress",verdict="clear"} 5
linkseal_underlay_packets_total{device="eth1",direction="ingress",verdict="protected"} 1
`
	if err := testutil.CollectAndCompare(collector(status.Status{Tunnels: tunnels()}), strings.NewReader(want), "linkseal_underlay_packets_total"); err != nil {
		t.Error(err)
	}
}
