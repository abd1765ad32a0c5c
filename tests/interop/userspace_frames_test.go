package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
)

// Frames of a jumbo port do not fit into the rings of AF_XDP: packet sockets
// carry them, of full size, both ways.
func TestUserspaceJumbo(t *testing.T) {
	t.Parallel()
	port := lab.Port{Extra: []string{"mtu: 9000"}}
	p := newUserspace(t, lab.Options{MTU: 9032}, port, port)
	p.carriesAll(t, "packet socket")
	full(t, p.west, p.east.Address.Addr(), 9000)
	full(t, p.east, p.west.Address.Addr(), 9000)
	p.clean(t)
}

// full has packets of full size, not to be fragmented, answered in full size,
// each: the next is sent when the answer is there, however slow the guest is.
func full(t *testing.T, from *lab.Appliance, to netip.Addr, mtu int) {
	t.Helper()
	for range 3 {
		out, err := from.NS.Command("ping", "-n", "-M", "do", "-s", fmt.Sprint(mtu-28), "-c", "1", "-W", "20", to.String()).CombinedOutput()
		if err != nil {
			t.Errorf("ping of %d octets from %s: %v\n%s", mtu, from.Name, err, out)
		}
	}
}

// VLAN tags inside the protected frames, one and two: small and full packets,
// and streams, whose super-packets are cut with the tags in band. A VLAN device
// on the kernel's MACsec has 4 octets less of MTU by itself, one on a tap has
// not.
func TestUserspaceVLAN(t *testing.T) {
	t.Parallel()
	p := newUserspace(t, lab.Options{}, lab.Port{}, lab.Port{})
	sealed := p.bridged(t)
	p.start(t)
	full(t, p.west, p.east.Address.Addr(), 1500)
	full(t, p.east, p.west.Address.Addr(), 1500)
	for i, a := range p.both() {
		for _, args := range []string{
			"link add link macsec1 name c10 mtu 1496 type vlan id 10",
			fmt.Sprintf("address add 198.51.100.%d/24 dev c10", i+1),
			"link set c10 up",
			"link add link macsec1 name s20 mtu 1496 type vlan proto 802.1ad id 20",
			"link set s20 up",
			"link add link s20 name c30 type vlan id 30",
			fmt.Sprintf("address add 203.0.113.%d/24 dev c30", i+1),
			"link set c30 up",
		} {
			if out, err := a.NS.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
				t.Fatalf("ip %s: %v: %s", args, err, out)
			}
		}
	}
	for _, net := range []string{"198.51.100.", "203.0.113."} {
		west, east := netip.MustParseAddr(net+"1"), netip.MustParseAddr(net+"2")
		full(t, p.west, east, 1496)
		full(t, p.east, west, 1496)
		bulkTo(t, p.west, p.east, west, east)
	}
	p.clean(t)
	sealed()
}
