package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A tunnel's text says what is wrong first, then what it is, its members, and
// what carries it.
func TestTunnelText(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time {
		at := now.Add(-d)
		return &at
	}
	trip, lost := 0.00213, 0.25
	tunnel := Tunnel{Name: "hub1", Type: "ipsec", Device: "eth1", Interface: "ipsec-hub1", Dataplane: "kernel", DataplaneReason: "auto: the kernel has ESP",
		State: Secured, Since: ago(time.Hour), Secure: "must", Local: "10.0.0.4", Remote: "10.20.0.5", Protect: []string{"10.20.0.0/16"}, Passing: PassingProtected,
		ClearRoutes: []string{"10.20.0.0/16 by eth2 in table 254"},
		Members: []Member{
			{N: 0, Interface: "ipsec-hub1", Live: true, Remote: "10.20.0.5:4500", Handshake: ago(90 * time.Second), KeyID: "psk-2026-11", IKE: "AES_GCM_16_256/ECP_384", ESP: "AES_GCM_16_256", Rekeys: 3,
				SPIIn: []string{"c0ffee01"}, SPIOut: []string{"0a0b0c0d"}, RxOctets: 5000, RxPackets: 50, TxOctets: 6000, TxPackets: 60, RTT: &trip, ProbeLost: &lost},
			{N: 1, Interface: "ipsec-hub1-1", Problem: "no answer of 10.20.0.5"}},
		Filter: map[string]uint64{"egress_protected_packets": 2},
		Flows: []Flow{{Protocol: "esp", Direction: "ingress", Local: "10.0.0.4:0", Remote: "10.20.0.5:0", SPI: "c0ffee01", Traffic: Traffic{Packets: 39, Octets: 3900, LastSeen: ago(time.Second)}, Gaps: 1},
			{Protocol: "ike", Direction: "egress", Local: "10.0.0.4:500", Remote: "10.20.0.5:500"}}}
	want := `hub1: secured for 1h0m
  CLEAR ROUTE  10.20.0.0/16 by eth2 in table 254
  interface    ipsec-hub1 on eth1, ipsec, secure: must
  dataplane    kernel, auto: the kernel has ESP
  between      10.0.0.4 and 10.20.0.5
  protects     10.20.0.0/16
  member 0     live, ipsec-hub1, with 10.20.0.5:4500, handshake 1m30s ago, PSK psk-2026-11, round trip 2.13ms, 25 % of probes lost
    suites     IKE AES_GCM_16_256/ECP_384, ESP AES_GCM_16_256, rekeyed 3 times
    SPIs       in c0ffee01, out 0a0b0c0d
    traffic    in 5000 octets in 50 packets, out 6000 in 60
  member 1     not live, ipsec-hub1-1
    why        no answer of 10.20.0.5
    traffic    in 0 octets in 0 packets, out 0 in 0
  carried by   esp SPI c0ffee01 ingress, 10.0.0.4 with 10.20.0.5: packets 39, octets 3900, 1s ago, about 1 missing
  filter       egress_protected_packets 2
`
	var b strings.Builder
	tunnel.write(&b, now)
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	// Of many flows some are told.
	flow := tunnel.Flows[0]
	for range 20 {
		tunnel.Flows = append(tunnel.Flows, flow)
	}
	b.Reset()
	tunnel.write(&b, now)
	if n := strings.Count(b.String(), "SPI c0ffee01"); n != 12 || !strings.Contains(b.String(), "and 9 more") {
		t.Errorf("%d of 21 flows:\n%s", n, b.String())
	}
}
