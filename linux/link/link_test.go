package link

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a namespace with the veth pair a, b in it, both up.
func pair(t *testing.T) (h *Handle, a, b Link) {
	t.Helper()
	probetest.Need(t, probe.NetNS, probe.Veth)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := ns.Do(func() error {
		if h, err = Open(); err != nil {
			return err
		}
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	for _, l := range []struct {
		name string
		to   *Link
	}{{"a", &a}, {"b", &b}} {
		if *l.to, err = h.ByName(l.name); err != nil {
			t.Fatal(err)
		}
		if err := h.SetUp(l.to.Index); err != nil {
			t.Fatal(err)
		}
	}
	return h, a, b
}

// await polls a link, without sleeping longer than the kernel's own delays.
func await(t *testing.T, h *Handle, index int, what string, ok func(Link) bool) Link {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		l, err := h.ByIndex(index)
		if err != nil {
			t.Fatal(err)
		}
		if ok(l) {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %+v", what, l)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func isUp(l Link) bool { return l.Carrier && l.OperState == OperUp }

func TestStateAndSettings(t *testing.T) {
	h, a, b := pair(t)
	if a.Kind != "veth" || a.Parent != b.Index || len(a.MAC) != 6 || a.MTU != 1500 || a.Up {
		t.Errorf("a new veth: %+v", a)
	}
	l := await(t, h, a.Index, "up", isUp)
	if !l.Up {
		t.Errorf("UP, yet not Up: %+v", l)
	}
	if err := h.SetMTU(a.Index, 9000); err != nil {
		t.Fatal(err)
	}
	if err := h.SetAlias(a.Index, "ours"); err != nil { // of one that is up
		t.Fatal(err)
	}
	if err := h.SetDown(b.Index); err != nil {
		t.Fatal(err)
	}
	l = await(t, h, a.Index, "carrier gone", func(l Link) bool { return !l.Carrier && l.OperState == OperLowerLayerDown })
	if l.MTU != 9000 || !l.Up || l.Alias != "ours" {
		t.Errorf("%+v", l)
	}
	all, err := h.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	if strings.Join(names, " ") != "a b lo" {
		t.Errorf("List: %v", names)
	}
	for range 2 { // an absent one is no error
		if err := h.Delete(a.Index); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.ByIndex(a.Index); !errors.Is(err, ErrNotFound) {
		t.Errorf("after Delete: %v", err)
	}
}

func TestErrors(t *testing.T) {
	h, a, _ := pair(t)
	for name, err := range map[string]error{
		"ByName":       ignore(h.ByName("nonesuch")),
		"ByName empty": ignore(h.ByName("")),
		"ByName long":  ignore(h.ByName("sixteen-octets-x")),
		"ByIndex":      ignore(h.ByIndex(9999)),
		"ByIndex 0":    ignore(h.ByIndex(0)),
		"SetUp":        h.SetUp(9999),
		"DisableIPv6":  h.DisableIPv6(9999),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if err := h.SetMTU(a.Index, 1<<24); err == nil || !strings.HasPrefix(err.Error(), "link a: set mtu 16777216: ") {
		t.Errorf("error without name or operation: %v", err)
	}
	if err := h.ReplaceAddress(a.Index, netip.Prefix{}); err == nil {
		t.Error("the zero prefix was taken")
	}
}

func ignore[T any](_ T, err error) error { return err }

// TestDormantKeepsAddressesAndRoutes is why an unsecured port is DORMANT and
// not down.
func TestDormantKeepsAddressesAndRoutes(t *testing.T) {
	h, a, b := pair(t)
	await(t, h, a.Index, "up", isUp)
	v4, v6 := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")
	for _, p := range []netip.Prefix{v4, v6} {
		if err := h.ReplaceAddress(a.Index, p); err != nil {
			t.Fatal(err)
		}
	}
	routes := func() (n int) {
		for _, f := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			rs, err := h.nl.RouteListFiltered(f, &netlink.Route{LinkIndex: a.Index}, netlink.RT_FILTER_OIF)
			if err != nil {
				t.Fatal(err)
			}
			n += len(rs)
		}
		return n
	}
	before := routes()
	if before < 2 {
		t.Fatalf("%d routes", before)
	}
	kept := func(when string) {
		t.Helper()
		addrs, err := h.Addresses(a.Index)
		if err != nil || !slices.Contains(addrs, v4) || !slices.Contains(addrs, v6) {
			t.Errorf("%s: addresses %v, %v", when, addrs, err)
		}
		if n := routes(); n != before {
			t.Errorf("%s: %d routes, were %d", when, n, before)
		}
	}
	for range 2 {
		if err := h.SetDormant(a.Index, true); err != nil {
			t.Fatal(err)
		}
	}
	l := await(t, h, a.Index, "dormant", func(l Link) bool { return l.OperState == OperDormant })
	if !l.Up || !l.Carrier || l.Mode != ModeDormant {
		t.Errorf("dormant: %+v", l)
	}
	kept("dormant")
	// A carrier flap leaves it dormant.
	if err := h.SetDown(b.Index); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "no carrier", func(l Link) bool { return !l.Carrier })
	if err := h.SetUp(b.Index); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "dormant after a flap", func(l Link) bool { return l.Carrier && l.OperState == OperDormant })
	kept("after a flap")
	if err := h.SetDormant(a.Index, false); err != nil {
		t.Fatal(err)
	}
	l = await(t, h, a.Index, "up again", isUp)
	if l.Mode != ModeDefault {
		t.Errorf("up again: %+v", l)
	}
	kept("up again")
}

func TestModeAndOperState(t *testing.T) {
	h, a, _ := pair(t)
	await(t, h, a.Index, "up", isUp)
	if err := h.SetMode(a.Index, ModeDormant); err != nil {
		t.Fatal(err)
	}
	if err := h.SetOperState(a.Index, OperDormant); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "dormant", func(l Link) bool { return l.OperState == OperDormant && l.Mode == ModeDormant })
	if err := h.SetOperState(a.Index, OperUp); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "up by its supplicant", func(l Link) bool { return isUp(l) && l.Mode == ModeDormant })
}

func TestAddresses(t *testing.T) {
	h, a, _ := pair(t)
	if err := h.DisableIPv6(a.Index); err != nil {
		t.Fatal(err)
	}
	list := func() string {
		ps, err := h.Addresses(a.Index)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, p := range ps {
			out = append(out, p.String())
		}
		return strings.Join(out, " ")
	}
	for _, p := range []string{"192.0.2.1/30", "192.0.2.2/30", "198.51.100.7/32", "192.0.2.1/30"} {
		if err := h.ReplaceAddress(a.Index, netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(); got != "192.0.2.1/30 198.51.100.7/32 192.0.2.2/30" {
		t.Errorf("addresses %s", got)
	}
	for range 2 {
		if err := h.DeleteAddress(a.Index, netip.MustParsePrefix("198.51.100.7/32")); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(); got != "192.0.2.1/30 192.0.2.2/30" {
		t.Errorf("addresses %s", got)
	}
	for range 2 {
		if err := h.FlushAddresses(a.Index); err != nil {
			t.Fatal(err)
		}
		if got := list(); got != "" {
			t.Errorf("after a flush: %s", got)
		}
	}
}

func TestDisableIPv6(t *testing.T) {
	h, a, b := pair(t)
	await(t, h, a.Index, "up", isUp)
	linkLocal := func(index int) int {
		ps, err := h.Addresses(index)
		if err != nil {
			t.Fatal(err)
		}
		return len(ps)
	}
	if off, err := h.IPv6Disabled(a.Index); err != nil || off {
		t.Errorf("a new interface: disabled %v, %v", off, err)
	}
	await(t, h, a.Index, "link-local address", func(Link) bool { return linkLocal(a.Index) == 1 })
	for range 2 {
		if err := h.DisableIPv6(a.Index); err != nil {
			t.Fatal(err)
		}
		if off, err := h.IPv6Disabled(a.Index); err != nil || !off {
			t.Errorf("disabled %v, %v", off, err)
		}
		if n := linkLocal(a.Index); n != 0 {
			t.Errorf("%d addresses left", n)
		}
	}
	// Down and up again, as an operator would: nothing comes back.
	if err := errors.Join(h.SetDown(a.Index), h.SetUp(a.Index)); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "up", isUp)
	// Nor when somebody switches the first sysctl off.
	if err := h.ns.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/a/disable_ipv6", []byte("0"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	if n := linkLocal(a.Index); n != 0 {
		t.Errorf("%d addresses after disable_ipv6=0", n)
	}
	if off, err := h.IPv6Disabled(b.Index); err != nil || off {
		t.Errorf("the other interface: disabled %v, %v", off, err)
	}
	if err := h.EnableIPv6(a.Index); err != nil {
		t.Fatal(err)
	}
	await(t, h, a.Index, "link-local address", func(Link) bool { return linkLocal(a.Index) == 1 })
	// Under 1280 octets there is no IPv6, and nothing to disable.
	if err := h.SetMTU(b.Index, 1000); err != nil {
		t.Fatal(err)
	}
	if err := h.DisableIPv6(b.Index); err != nil {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	h, a, b := pair(t)
	await(t, h, a.Index, "up", isUp)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	events, err := h.Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	wait := func(what string, ok func(Event) bool) {
		t.Helper()
		for e := range events {
			if e.Link.Index == a.Index && ok(e) {
				return
			}
		}
		t.Fatalf("%s: no such event", what)
	}
	if err := h.SetDown(b.Index); err != nil {
		t.Fatal(err)
	}
	wait("carrier down", func(e Event) bool { return !e.Link.Carrier && !e.Deleted })
	if err := h.SetUp(b.Index); err != nil {
		t.Fatal(err)
	}
	wait("carrier up", func(e Event) bool { return e.Link.Carrier })
	around := func(e Event) bool { return e.Around }
	for _, address := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		if err := h.ReplaceAddress(a.Index, netip.MustParsePrefix(address)); err != nil {
			t.Fatal(err)
		}
		wait(address, around)
	}
	if err := h.DisableIPv6(a.Index); err != nil {
		t.Fatal(err)
	}
	wait("ipv6 off", around)
	qdisc := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: a.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}}
	if err := h.nl.QdiscAdd(qdisc); err != nil {
		t.Fatal(err)
	}
	wait("qdisc", around)
	if err := h.nl.QdiscDel(qdisc); err != nil {
		t.Fatal(err)
	}
	wait("qdisc deleted", around)
	if err := h.Delete(a.Index); err != nil {
		t.Fatal(err)
	}
	wait("deleted", func(e Event) bool { return e.Deleted })
	cancel()
	for range events {
	}
}
