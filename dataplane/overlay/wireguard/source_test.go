package wireguard

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// local is a second address of the device, which routing does not choose: no packet
// leaves from the first, before a peer is heard or after.
func TestLocal(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		probetest.NeedTool(t, "nft")
		for _, six := range []bool{false, true} {
			t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[six], func(t *testing.T) {
				a, b := cable(t)
				a.six, b.six = six, six
				first, second := a.at, netip.MustParsePrefix("198.51.100.11/24")
				ip := "ip"
				if six {
					first, second, ip = a.at6, netip.MustParsePrefix("2001:db8::11/64"), "ip6"
				}
				a.do(t, func(nl *netlink.Handle) error {
					l, err := nl.LinkByName(under)
					if err != nil {
						return err
					}
					addr := address(second)
					if six {
						addr.ValidLft, addr.PreferedLft = 3600, 0 // deprecated: never chosen
					}
					return nl.AddrAdd(l, addr)
				})
				b.run(t, "nft", "add table inet w; add chain inet w in { type filter hook input priority 0; }; add rule inet w in "+ip+" saddr "+first.String()+" udp dport 51820 counter drop; add rule inet w in "+ip+" saddr "+second.Addr().String()+" udp dport 51820 counter")
				a.prepare(t, k, func(c *config.Tunnel) { c.Local = second.Addr() })
				b.prepare(t, k, func(c *config.Tunnel) { c.Remote = second.Addr() })
				a.open(t)
				list := func() string { return b.run(t, "nft", "list", "table", "inet", "w") }
				await(t, "a packet of a's has come to b", 20*time.Second, func() bool { return strings.Count(list(), "packets 0 ") < 2 })
				b.open(t)
				a.live(t)
				b.live(t)
				a.ping(t, 5)
				if text := list(); !strings.Contains(text, "counter packets 0 bytes 0 drop") {
					t.Errorf("packets leave from the first address:\n%s", text)
				}
				if m := b.session.View().Members[0]; m.Remote.Addr() != second.Addr() {
					t.Errorf("b hears a from %s", m.Remote)
				}
				if err := a.session.Remove(); err != nil {
					t.Error(err)
				}
				if text := a.run(t, "nft", "list", "ruleset"); text != "" {
					t.Errorf("left:\n%s", text)
				}
			})
		}
	})
}

// A local that the machine does not have is told, as why there is no session.
func TestLocalIsNone(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, _ := cable(t)
		a.prepare(t, k, func(c *config.Tunnel) { c.Local = netip.MustParseAddr("198.51.100.77") })
		a.open(t)
		await(t, "local is told", 10*time.Second, func() bool {
			return strings.Contains(a.session.View().Problem, "local 198.51.100.77 is no address of this machine")
		})
	})
}

// Whoever flushes nftables, as a reload of its service does, takes it away for one
// look.
func TestSourceIsPutBack(t *testing.T) {
	probetest.NeedTool(t, "nft")
	a, b := cable(t)
	second := netip.MustParsePrefix("198.51.100.11/24")
	a.do(t, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(under)
		if err != nil {
			return err
		}
		return nl.AddrAdd(l, address(second))
	})
	s := &source{ns: a.ns, name: "t", local: second.Addr(), remote: netip.AddrPortFrom(b.at, 51820), ports: [2]uint16{51820, 51820}}
	now := time.Now()
	for range 2 {
		s.look(now, false)
		if text := a.run(t, "nft", "list", "ruleset"); s.err != nil || !strings.Contains(text, second.Addr().String()) {
			t.Fatalf("%v; %s", s.err, text)
		}
		a.run(t, "nft", "flush", "ruleset")
		now = now.Add(sought)
	}
	if err := s.have(false); err != nil {
		t.Error(err)
	}
}
