package lab

import (
	"net"
	"net/netip"
	"testing"
)

// What is protected is found in clear wherever it is, and nothing else is.
func TestUnderlayCount(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	clear := ClearPacket(mac, mac, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.64.0.1"), 9)
	elsewhere := ClearPacket(mac, mac, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), firstPort)
	tunnel := append([]byte(nil), elsewhere...)
	copy(tunnel[42:], "what WireGuard has encrypted, as it is")
	for name, c := range map[string]struct {
		frame []byte
		out   bool
		want  UnderlayCount
	}{
		"protected":                {clear, false, UnderlayCount{Protected: 1}},
		"protected, coming":        {clear, true, UnderlayCount{Arriving: 1}},
		"protected, tagged":        {append(append(append([]byte(nil), clear[:12]...), 0x81, 0, 0, 5), clear[12:]...), false, UnderlayCount{Protected: 1}},
		"protected, in others' IP": {elsewhere, false, UnderlayCount{Protected: 1}},
		"a tunnel's":               {tunnel, false, UnderlayCount{WireGuard: 1}},
		"ARP":                      {EtherFrame(mac, mac, 0x0806, make([]byte, 28)), false, UnderlayCount{Other: 1}},
	} {
		w := &UnderlayWire{tos: map[byte]uint64{}}
		w.count(Frame{Octets: c.frame, Outgoing: c.out})
		if got := w.Count(); got != c.want {
			t.Errorf("%s: %+v; want %+v", name, got, c.want)
		}
	}
}
