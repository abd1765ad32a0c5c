package wireguard

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/identity"
)

// Close and Open, with traffic: the kernel's loses nothing. The embedded one's
// tun has no carrier meanwhile, and then a session is made.
func TestAdopt(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		b.setPSK(t, 'x')
		a.prepare(t, k, withPSK)
		a.open(t).SetPSKs(inside(psk("one", 'x')))
		a.live(t)
		var streams [2]*stream
		if !k.userspace {
			streams = [2]*stream{startStream(t, a, b), startStream(t, b, a)}
		}
		for range 3 {
			if err := a.session.Close(); err != nil {
				t.Fatal(err)
			}
			await(t, "closed, the carrier is as it has to be", 10*time.Second, func() bool { return a.carrier(t) != k.userspace })
			a.open(t)
			if v := a.session.View(); !k.userspace && v.State != overlay.Secured {
				t.Errorf("adopted: %+v", v)
			}
			a.session.SetPSKs(inside(psk("one", 'x')))
			a.live(t)
			if id := a.session.View().Members[0].KeyID; id != "one" {
				t.Errorf("adopted under PSK %q", id)
			}
		}
		if !k.userspace {
			flowing(t, streams)
			nothingLost(t, streams)
		}
		a.ping(t, 3)
	})
}

func (h *end) carrier(t testing.TB) (on bool) {
	t.Helper()
	h.do(t, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(h.device)
		if err == nil {
			on = l.Attrs().RawFlags&0x10000 != 0 // IFF_LOWER_UP
		}
		return err
	})
	return on
}

// Remove takes the keys away; without the interface it is no error.
func TestRemove(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		a.prepare(t, k, nil)
		a.open(t)
		a.live(t)
		if err := a.session.Remove(); err != nil {
			t.Fatal(err)
		}
		if k.userspace {
			await(t, "removed, the tun has no carrier", 10*time.Second, func() bool { return !a.carrier(t) })
		} else if out := a.run(t, "wg", "show", a.device, "dump"); strings.Contains(out, b.public.String()) || !strings.HasPrefix(out, "(none)") {
			t.Errorf("removed, and there is: %s", out)
		}
		a.open(t)
		a.live(t)
		a.run(t, "ip", "link", "del", a.device)
		await(t, "the state is down", 10*time.Second, func() bool { return a.session.View().State == overlay.Down })
		if v := a.session.View(); v.Problem == "" || v.Remedy == "" {
			t.Errorf("%+v", v)
		}
		if err := a.session.Remove(); err != nil {
			t.Error(err)
		}
	})
}

// Several peers, each with its networks, added and removed while others carry.
func TestPeers(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		a.prepare(t, k, func(c *config.Tunnel) {
			c.WireGuard.AllowedIPs = []netip.Prefix{netip.PrefixFrom(b.inner.Addr(), 32)}
		})
		a.open(t)
		a.live(t)
		streams := [2]*stream{startStream(t, a, b), startStream(t, b, a)}
		flowing(t, streams)
		// The third is a second WireGuard of b's.
		third := *b
		third.device, third.inner = b.device+"x", netip.MustParsePrefix("10.99.0.3/24")
		third.keyFile = filepath.Join(t.TempDir(), "wg.key")
		pair, _, err := identity.Open(third.keyFile, identity.Sealers{})
		if err != nil {
			t.Fatal(err)
		}
		third.public = pair.Public
		pair.Private.Zero()
		if k.userspace {
			third.startStock(t)
		} else {
			third.run(t, "ip", "link", "add", third.device, "type", "wireguard")
		}
		third.wg(t, "listen-port", fmt.Sprint(port+9), "private-key", third.keyFile, "peer", a.public.String(), "allowed-ips", "10.99.0.1/32")
		third.setPSK(t, 'z')
		third.run(t, "ip", "addr", "add", "10.99.0.3/32", "dev", third.device)
		third.run(t, "ip", "link", "set", third.device, "up")

		with := a.tunnel
		w := *a.tunnel.WireGuard
		with.WireGuard = &w
		w.Peers = []config.Peer{{
			PublicKey: third.public.String(), Remote: netip.AddrPortFrom(b.at, port+9), Keychain: "third",
			AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.99.0.3/32"), netip.MustParsePrefix("10.98.0.0/16")},
		}}
		a.session.Configure(with)
		a.session.SetPeerPSKs(0, inside(psk("z", 'z')))
		await(t, "the third has a session", 15*time.Second, func() bool { return third.handshake(t) != "0" })
		b.run(t, "ip", "rule", "add", "from", "10.99.0.3", "lookup", "77")
		b.run(t, "ip", "route", "add", "default", "dev", third.device, "table", "77")
		a.run(t, "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "5", "10.99.0.3")

		// Its PSK changes, and that is the third's alone.
		before := third.handshake(t)
		a.session.SetPeerPSKs(0, inside(psk("y", 'y'), psk("z", 'z')))
		third.setPSK(t, 'y')
		a.run(t, "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "5", "10.99.0.3")
		flowing(t, streams)
		a.drop(1) // a kernel would take two minutes to handshake
		await(t, "the third has a session under its new PSK, and the second has none", 20*time.Second, func() bool {
			a.session.View()
			a.session.mu.Lock()
			defer a.session.mu.Unlock()
			links := a.session.members[0].links
			return links[0].keyID() == "" && links[1].keyID() == "y" && third.handshake(t) > before
		})
		a.run(t, "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "5", "10.99.0.3")

		w2 := w
		w2.Peers = slices.Clone(w.Peers)
		w2.Peers[0].AllowedIPs = w.Peers[0].AllowedIPs[:1]
		with.WireGuard = &w2
		a.session.Configure(with)
		a.run(t, "ping", "-n", "-q", "-c", "3", "-i", "0.01", "-W", "5", "10.99.0.3")

		a.session.Configure(a.tunnel)
		if out, err := a.ns.Command("ping", "-n", "-c", "1", "-W", "1", "10.99.0.3").CombinedOutput(); err == nil {
			t.Errorf("a peer that was removed answers:\n%s", out)
		}
		nothingLost(t, streams)
	})
}

// A probe that is not answered takes a member out, and one that is puts it back.
func TestProbe(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b := cable(t)
		b.foreign(t, k)
		a.prepare(t, k, func(c *config.Tunnel) {
			c.Probe = &config.Probe{Address: b.inner.Addr(), Interval: 100 * time.Millisecond, Lost: 3}
		})
		a.open(t)
		a.live(t)
		await(t, "a round trip is measured", 10*time.Second, func() bool { return a.session.View().Members[0].RTT > 0 })
		// A machine that stood still may have lost probes too.
		await(t, "no change is told that has been", 10*time.Second, func() bool {
			for len(a.session.Changed()) > 0 {
				<-a.session.Changed()
			}
			return a.session.View().State == overlay.Secured && len(a.session.Changed()) == 0
		})
		b.run(t, "ip", "addr", "del", b.inner.String(), "dev", b.device)
		var v overlay.View
		for late := time.After(10 * time.Second); v.State != overlay.Unsecured; {
			select {
			case <-a.session.Changed():
				v = a.session.View()
			case <-late:
				t.Fatalf("no change is told: %+v", v)
			}
		}
		if m := v.Members[0]; m.Live || m.ProbeLost == 0 || !strings.Contains(m.Problem, b.inner.Addr().String()) {
			t.Errorf("%+v", v)
		}
		b.run(t, "ip", "addr", "add", b.inner.String(), "dev", b.device)
		a.live(t)
	})
}

// What somebody else takes out of the kernel's device is put back.
func TestRepair(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		if k.userspace {
			return // nobody else reaches it
		}
		a, b := cable(t)
		b.foreign(t, k)
		b.setPSK(t, 'x')
		a.prepare(t, k, withPSK)
		a.open(t).SetPSKs(inside(psk("one", 'x')))
		a.live(t)
		for _, harm := range [][]string{
			{"peer", b.public.String(), "remove"},
			{"peer", b.public.String(), "allowed-ips", "10.97.0.0/16", "persistent-keepalive", "off"},
			{"listen-port", "9"},
			{"private-key", "/dev/null"},
		} {
			a.run(t, "wg", append([]string{"set", a.device}, harm...)...)
			await(t, fmt.Sprintf("%q is undone", harm), 20*time.Second, func() bool {
				a.session.View()
				out := a.run(t, "wg", "show", a.device, "dump")
				return strings.Contains(out, b.public.String()) && strings.Contains(out, "\t10.99.0.0/24\t") && strings.HasSuffix(out, "\t25") &&
					strings.Contains(out, a.public.String()+"\t"+fmt.Sprint(port)) && a.session.View().Live()
			})
			a.ping(t, 3)
		}
	})
}

// Where a peer is configured to be is tried once its session is over: one that
// roamed, or was found elsewhere.
func TestEndpointAgain(t *testing.T) {
	now := time.Now()
	here, there := addrPort(netip.MustParseAddr("192.0.2.1")), addrPort(netip.MustParseAddr("192.0.2.2"))
	at := func(d time.Duration) time.Time { return now.Add(d).Round(0) }
	for _, tc := range []struct {
		name  string
		looks []reading // a minute apart
		want  int
	}{
		{"found there, with no session", []reading{{endpoint: there, handshake: at(-time.Hour)}, {endpoint: there, handshake: at(-time.Hour)}}, 1},
		{"found there, with one", []reading{{endpoint: there, handshake: at(-time.Minute)}}, 0},
		{"roamed, and then not heard of", []reading{{endpoint: there, handshake: at(-time.Minute)}, {endpoint: there, handshake: at(-time.Minute)}, {endpoint: there, handshake: at(-time.Minute)}, {endpoint: there, handshake: at(-time.Minute)}}, 1},
		{"not heard of, where it is configured", []reading{{endpoint: here}, {endpoint: here}}, 0},
		{"nowhere yet", []reading{{}, {}}, 0},
	} {
		l := newLink(configured{endpoint: here}, true, identity.Public{1}, now)
		for i, r := range tc.looks {
			l.see(r, now.Add(time.Duration(i)*time.Minute))
		}
		if l.turned != tc.want {
			t.Errorf("%s: %d times, want %d", tc.name, l.turned, tc.want)
		}
	}
}
