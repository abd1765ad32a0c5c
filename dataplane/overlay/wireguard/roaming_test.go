package wireguard

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/config"
)

// move gives an end another address on the underlay in place of its own.
func (h *end) move(t testing.TB, to netip.Prefix) {
	t.Helper()
	h.do(t, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(under)
		if err != nil {
			return err
		}
		if err := nl.AddrDel(l, address(netip.PrefixFrom(h.underlay(), to.Bits()))); err != nil {
			return err
		}
		return nl.AddrAdd(l, address(to))
	})
}

// The other end gets another address, and then another port, and goes on from
// there; then we do.
func TestRoaming(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		for _, tc := range []struct {
			name          string
			six           bool
			theirs, yours string
		}{{"IPv4", false, "198.51.100.77/24", "198.51.100.78/24"}, {"IPv6", true, "2001:db8::77/64", "2001:db8::78/64"}} {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				a, b := cable(t)
				a.six, b.six = tc.six, tc.six
				b.foreign(t, k)
				b.setPSK(t, 'x')
				a.prepare(t, k, withPSK)
				a.open(t).SetPSKs(inside(psk("one", 'x')))
				a.live(t)
				theirs := netip.MustParsePrefix(tc.theirs)
				at := func(want netip.AddrPort) {
					t.Helper()
					await(t, fmt.Sprintf("a has it at %s", want), 10*time.Second, func() bool { return a.session.View().Members[0].Remote == want })
				}
				b.move(t, theirs)
				b.ping(t, 3)
				a.ping(t, 3)
				at(addrPort(theirs.Addr()))
				b.wg(t, "listen-port", "4500")
				b.ping(t, 3)
				a.ping(t, 3)
				at(netip.AddrPortFrom(theirs.Addr(), 4500))
				// What is configured anew does not bring it back.
				a.tunnel.WireGuard = &config.WireGuard{
					Port: port, PrivateKey: a.keyFile, PeerPublicKey: b.public.String(), Keychain: "psks",
					AllowedIPs: a.tunnel.WireGuard.AllowedIPs, Keepalive: 10 * time.Second,
				}
				a.session.Configure(a.tunnel)
				a.ping(t, 3)
				at(netip.AddrPortFrom(theirs.Addr(), 4500))

				yours := netip.MustParsePrefix(tc.yours)
				a.move(t, yours)
				a.ping(t, 3)
				b.ping(t, 3)
				if out := b.run(t, "wg", "show", b.device, "endpoints"); !strings.HasSuffix(out, addrPort(yours.Addr()).String()) {
					t.Errorf("b has us at %s", out)
				}
			})
		}
	})
}

// With a keepalive something is sent though nobody has anything to send, and
// without one nothing is.
func TestKeepalive(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		a.prepare(t, k, func(c *config.Tunnel) { c.WireGuard.Keepalive = time.Second })
		a.open(t)
		a.live(t)
		sent := func() uint64 {
			time.Sleep(600 * time.Millisecond) // a View is that old at most
			return a.session.View().Members[0].TxOctets
		}
		had := sent()
		await(t, "keepalives are sent", 10*time.Second, func() bool { return sent() >= had+3*32 })
		quiet := *a.tunnel.WireGuard
		quiet.Keepalive, a.tunnel.WireGuard = 0, &quiet
		a.session.Configure(a.tunnel)
		// What had begun is let to end: a timer of WireGuard's goes on for 10 s.
		await(t, "no more are sent", 30*time.Second, func() bool {
			before := sent()
			for range 2 { // more than a keepalive's second
				if sent() != before {
					return false
				}
			}
			return true
		})
	})
}
