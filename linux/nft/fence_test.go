package nft

import (
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/linux/netns"
)

func prefixesOf(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func wantFence(t *testing.T, h *Handle, want Fence, there bool) {
	t.Helper()
	got, is, err := h.Fence()
	if err != nil || is != there || !got.Equal(want) {
		t.Errorf("%v, there %v: %s", err, is, cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })))
	}
}

func TestFence(t *testing.T) {
	ns, h := namespace(t)
	wantFence(t, h, Fence{}, false)
	if err := h.RemoveFence(); err != nil {
		t.Error(err)
	}
	f := Fence{Protect: prefixesOf("10.20.0.0/16", "10.21.0.0/16", "10.20.7.0/24", "2001:db8::/32", "2001:db9::/32"), Pass: []string{"wg0", "eth1", "ipsec-hub2-63ab"},
		Remotes: []netip.Addr{netip.MustParseAddr("10.20.0.5"), netip.MustParseAddr("fd00::5")}, Ports: []uint16{51820, 4500}}
	for _, f := range []Fence{f, f, {Protect: prefixesOf("0.0.0.0/0", "::/0")}, {Protect: prefixesOf("128.0.0.0/1", "255.255.255.255/32", "8000::/1", "::1/128")}, {}, f} {
		if err := h.SetFence(f); err != nil {
			t.Fatal(err)
		}
		wantFence(t, h, f, true)
	}
	// nft reads it as it is meant.
	text := nft(t, ns, "list", "table", "inet", "linkseal-fence")
	for _, want := range []string{"type filter hook postrouting priority 300; policy accept;", "oifname @pass accept", "elements = { 10.20.0.0/16, 10.21.0.0/16 }", "ip daddr @remotes udp sport @ports accept",
		"ip6 daddr @remotes6 meta l4proto esp accept", "ip daddr @protect counter packets 0 bytes 0 drop", "ip6 daddr @protect6 counter packets 0 bytes 0 drop", `"wg0"`, `"lo"`} {
		if !strings.Contains(text, want) {
			t.Errorf("nft has no %q:\n%s", want, text)
		}
	}
	// What is torn is as none; the table of MSS is another.
	if err := h.SetMSS("wg0", 1350); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{"flush chain inet linkseal-fence leave1", "delete table inet linkseal-fence", "flush ruleset"} {
		nft(t, ns, strings.Fields(cut)...)
		wantFence(t, h, Fence{}, false)
		if err := h.SetFence(f); err != nil {
			t.Fatal(err)
		}
		wantFence(t, h, f, true)
	}
	nft(t, ns, "delete", "element", "inet", "linkseal-fence", "protect", "{ 10.21.0.0/16 }")
	if got, _, err := h.Fence(); err != nil || got.Equal(f) {
		t.Errorf("%v, %v", got, err)
	}
	if err := h.RemoveFence(); err != nil {
		t.Error(err)
	}
	wantFence(t, h, Fence{}, false)
	for _, wrong := range []Fence{{Pass: []string{""}}, {Pass: []string{strings.Repeat("x", 16)}}, {Protect: []netip.Prefix{{}}}, {Remotes: []netip.Addr{{}}}} {
		if err := h.SetFence(wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// As many as an appliance may have go in at once.
func TestFenceOfMany(t *testing.T) {
	_, h := namespace(t)
	var f Fence
	for i := range 5000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0})
		f.Protect = append(f.Protect, netip.PrefixFrom(a, 24))
		f.Pass = append(f.Pass, fmt.Sprintf("wg%d", i))
		f.Remotes = append(f.Remotes, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
		f.Ports = append(f.Ports, uint16(20000+i))
	}
	if err := h.SetFence(f); err != nil {
		t.Fatal(err)
	}
	wantFence(t, h, f, true)
}

// wires gives ns two veths whose other ends nobody has, with routes over them.
func wires(t *testing.T, ns *netns.NS) {
	t.Helper()
	for _, line := range []string{
		"link add name wg0 type veth peer name wg0x", "link add name eth0 type veth peer name eth0x",
		"link set lo up", "link set wg0x up", "link set wg0 up", "link set eth0x up", "link set eth0 up",
		"addr add 192.0.2.1/24 dev eth0", "-6 addr add 2001:db8:2::1/64 dev eth0 nodad", "addr add 192.0.3.1/24 dev wg0",
		"neigh add 192.0.2.9 dev eth0 lladdr 02:00:00:00:00:09", "-6 neigh add 2001:db8:2::9 dev eth0 lladdr 02:00:00:00:00:09",
		"neigh add 10.20.0.1 dev wg0 lladdr 02:00:00:00:00:09",
		"route add default via 192.0.2.9", "-6 route add default via 2001:db8:2::9", "route add 10.20.0.1/32 dev wg0",
	} {
		if out, err := ns.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
}

// What is protected leaves by the tunnel alone, and what carries tunnels by any
// interface.
func TestFenceHolds(t *testing.T) {
	ns, h := namespace(t)
	wires(t, ns)
	f := Fence{Protect: prefixesOf("10.20.0.0/16", "2001:db8:20::/48"), Pass: []string{"wg0"}, Remotes: []netip.Addr{netip.MustParseAddr("10.20.0.5")}, Ports: []uint16{51820}}
	send := func(local uint16, to string) {
		t.Helper()
		if err := ns.Do(func() error {
			c, err := net.ListenUDP("udp", &net.UDPAddr{Port: int(local)})
			if err != nil {
				return err
			}
			defer c.Close()
			_, _ = c.WriteToUDPAddrPort([]byte("clear"), netip.MustParseAddrPort(to)) // dropped: not permitted
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	held := func(set bool, local uint16, to string, want bool) {
		t.Helper()
		if set {
			if err := h.SetFence(f); err != nil {
				t.Fatal(err)
			}
		}
		before, _, _, err := h.Fenced()
		if err != nil {
			t.Fatal(err)
		}
		send(local, to)
		after, octets, there, err := h.Fenced()
		if err != nil || !there || (after != before) != want || (after > 0) != (octets > 0) {
			t.Errorf("from port %d to %s: held back %d packets, %v; %v", local, to, after-before, want, err)
		}
	}
	held(true, 9000, "10.20.0.9:9", true)
	held(true, 9000, "[2001:db8:20::9]:9", true)
	held(false, 9000, "10.20.0.1:9", false) // by wg0
	held(false, 9000, "10.21.0.1:9", false) // not protected
	held(false, 9000, "[2001:db8:21::9]:9", false)
	held(false, 9000, "10.20.0.5:51820", true)
	held(false, 51820, "10.20.0.5:51820", false)
	held(false, 51820, "10.20.0.6:51820", true)
	before, _, _, _ := h.Fenced()
	f.Pass = nil
	held(true, 9000, "10.20.0.1:9", true)
	if after, _, _, _ := h.Fenced(); after <= before {
		t.Errorf("a changed fence counts from the beginning: %d, %d", before, after)
	}
	// However wide: what leaves no link goes on.
	f.Protect = prefixesOf("0.0.0.0/0", "::/0")
	held(true, 9000, "192.0.2.9:9", true)
	held(false, 9000, "[2001:db8:77::9]:9", true)
	held(false, 9000, "[fe80::9%eth0]:9", false)
	held(false, 9000, "[ff02::9%eth0]:9", false)
	held(false, 9000, "224.0.0.5:9", false)
	held(false, 9000, "224.0.1.5:9", true)
}

// Intervals are prefixes again, next to each other and to the last address too.
func TestIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		six := rapid.Bool().Draw(t, "IPv6")
		n := 4
		if six {
			n = 16
		}
		var list []netip.Prefix
		for range rapid.IntRange(0, 12).Draw(t, "prefixes") {
			// Near each other, or to the ends.
			b := big.NewInt(int64(rapid.IntRange(0, 40).Draw(t, "address"))).FillBytes(make([]byte, n))
			if rapid.Bool().Draw(t, "high") {
				for i := range b {
					b[i] = ^b[i]
				}
			}
			a, _ := netip.AddrFromSlice(b)
			p := netip.PrefixFrom(a, max(0, 8*n-rapid.IntRange(0, 8*n).Draw(t, "size")))
			list = append(list, p.Masked())
		}
		list = Outermost(list)
		var elements []nftables.SetElement
		for _, p := range list {
			elements = append(elements, interval(p)...)
		}
		if d := cmp.Diff(list, prefixes(rapid.Permutation(elements).Draw(t, "order")), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Fatal(d)
		}
	})
}
