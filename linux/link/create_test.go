package link

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestCreateWireGuard(t *testing.T) {
	probetest.Need(t, probe.WireGuard)
	h, _, _ := pair(t)
	if err := h.CreateWireGuard("wg0"); err != nil {
		t.Fatal(err)
	}
	l, err := h.ByName("wg0")
	if err != nil || l.Kind != KindWireGuard || l.Up || l.IfID != 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if err := h.CreateWireGuard("wg0"); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "ip link shows") {
		t.Errorf("a second: %v", err)
	}
	if err := h.SetNameAlias(l.Index, "wg1", "linkseal:hub1.0"); err != nil {
		t.Error(err)
	}
	if err := h.Delete(l.Index); err != nil {
		t.Error(err)
	}
}

func TestCreateXFRM(t *testing.T) {
	probetest.Need(t, probe.XFRMI)
	h, a, _ := pair(t)
	if err := h.CreateXFRM("x0", a.Index, 0xdeadbeef); err != nil {
		t.Fatal(err)
	}
	l, err := h.ByName("x0")
	if err != nil || l.Kind != KindXFRM || l.IfID != 0xdeadbeef || l.Parent != a.Index || l.Up {
		t.Errorf("%+v, %v", l, err)
	}
	if err := h.SetUp(l.Index); err != nil {
		t.Fatal(err)
	}
	if all, err := h.AllAddresses(); err != nil || len(all[l.Index]) > 0 {
		t.Errorf("addresses %v, %v; want none", all[l.Index], err)
	}
	if err := h.CreateXFRM("x1", a.Index, 0xdeadbeef); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a second of that if_id: %v", err)
	}
}

// A kernel without the kind says what to do.
func TestCreateWithout(t *testing.T) {
	h, _, _ := pair(t)
	err := h.create("no0", "linkseal-none", "a kernel with CONFIG_NONE", nil)
	if !errors.Is(err, unix.EOPNOTSUPP) || !strings.HasSuffix(err.Error(), "; use a kernel with CONFIG_NONE") {
		t.Error(err)
	}
}

func TestAddressAlone(t *testing.T) {
	h, a, _ := pair(t)
	four, six := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")
	for _, p := range []netip.Prefix{four, six} {
		for range 2 {
			if err := h.ReplaceAddressAlone(a.Index, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := h.ReplaceAddress(a.Index, netip.MustParsePrefix("198.51.100.1/24")); err != nil {
		t.Fatal(err)
	}
	all, err := h.AllAddresses()
	if err != nil {
		t.Fatal(err)
	}
	alone := map[netip.Prefix]bool{}
	for _, one := range all[a.Index] {
		alone[one.Prefix] = one.NoPrefixRoute
	}
	if !alone[four] || !alone[six] || alone[netip.MustParsePrefix("198.51.100.1/24")] {
		t.Errorf("%v", all[a.Index])
	}
	var routes []netlink.Route
	if err := h.ns.Do(func() (err error) { routes, err = netlink.RouteList(nil, netlink.FAMILY_V4); return err }); err != nil {
		t.Fatal(err)
	}
	if len(routes) != 1 || routes[0].Dst.String() != "198.51.100.0/24" {
		t.Errorf("routes %v", routes)
	}
}
