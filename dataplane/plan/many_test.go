package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// many are n tunnels beside each other on one device.
func many(n int) (all []Tunnel) {
	for i := range n {
		g := hub1()
		g.Name = fmt.Sprintf("hub%d", i)
		g.Members, g.Live = []Member{{Interface: fmt.Sprintf("wg%d", i)}}, []string{fmt.Sprintf("wg%d", i)}
		g.Protect = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)}
		g.Addresses = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(i >> 6), byte(i&63*4 + 1)}), 30)}
		g.Remotes = []netip.Addr{netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})}
		g.Flows = []Flow{{Protocol: WireGuard, Local: netip.MustParseAddr("10.0.0.4"), LocalPort: uint16(10000 + i), Roams: true}}
		all = append(all, g)
	}
	return all
}

// Of a thousand tunnels one is changed: no step is of another, and what is of all
// is set once.
func TestOneOfAThousand(t *testing.T) {
	all := many(1000)
	o := builtTunnels(t, all...)
	if again := Build(Desired{Tunnels: all}, *o); len(again) > 0 {
		t.Fatalf("%d steps are left: %v", len(again), again[0])
	}
	all[500].MTU, all[500].MSS = 1300, 1200
	if got := lines(Build(Desired{Tunnels: all}, *o)); got != "set wg500 mtu 1300\nclamp MSS through wg500 to 1200\n" {
		t.Errorf("another MTU and MSS:\n%s", got)
	}
	all = slices.Delete(all, 500, 501)
	n := 0
	for _, s := range Build(Desired{Tunnels: all}, *o) {
		if s.Link != "" && s.Link != "wg500" || s.Tunnel != "" && s.Tunnel != "hub500" {
			t.Errorf("one is gone: %s", s)
		}
		n++
	}
	if n > 20 {
		t.Errorf("one is gone: %d steps", n)
	}
}

// What overlaps is found by search as by a look at all.
func TestOverlapping(t *testing.T) {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		bits := rapid.IntRange(0, 32).Draw(t, "bits")
		if rapid.Bool().Draw(t, "IPv6") {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: rapid.Byte().Draw(t, "a"), 3: rapid.Byte().Draw(t, "b")}), bits)
		}
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{rapid.Byte().Draw(t, "a"), 3: rapid.Byte().Draw(t, "b")}), bits)
	})
	rapid.Check(t, func(t *rapid.T) {
		var d Desired
		for range rapid.IntRange(0, 8).Draw(t, "tunnels") {
			d.Tunnels = append(d.Tunnels, Tunnel{Protect: rapid.SliceOfN(prefix, 0, 4).Draw(t, "protect")})
		}
		r := prefix.Draw(t, "route")
		list := newProtected(d)
		got := make(map[protected]bool)
		for _, p := range list.overlapping(r) {
			if got[p] {
				t.Fatalf("%v twice", p)
			}
			got[p] = true
		}
		for _, p := range list {
			if p.prefix.Overlaps(r) != got[p] {
				t.Fatalf("%v with %v: %v", p, r, got[p])
			}
		}
	})
}
