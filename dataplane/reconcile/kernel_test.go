package reconcile

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// needs is what a must-secure port needs of a kernel.
var needs = []probe.Feature{probe.NetNS, probe.Veth, probe.BPF, probe.XDPNative, probe.CapNetAdmin, probe.CapBPF, probe.CapSysAdmin}

// inNamespace runs f in a namespace with veth eth1, whose other end is peer1,
// both down.
func inNamespace(t *testing.T, f func(t *testing.T, k *Kernel)) {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	err = ns.Do(func() error {
		if err := addVeth("eth1", "peer1"); err != nil {
			return err
		}
		k, err := OpenKernel()
		if err != nil {
			return err
		}
		defer k.Close()
		f(t, k)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func addVeth(name, peer string) error {
	a := netlink.NewLinkAttrs()
	a.Name, a.MTU = name, 1600
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: peer, PeerMTU: 1600})
}

func observe(t *testing.T, k *Kernel, d plan.Desired) plan.Observed {
	t.Helper()
	o, err := k.Observe(d)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// applyAll applies the plan for d and demands that nothing is left to do.
func applyAll(t *testing.T, k *Kernel, d plan.Desired, each func(plan.Step)) {
	t.Helper()
	for _, s := range plan.Build(d, observe(t, k, d)) {
		if err := k.Apply(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if each != nil {
			each(s)
		}
	}
	o := observe(t, k, d)
	if again := plan.Build(d, o); len(again) > 0 {
		t.Fatalf("the second plan is not empty: %v", again)
	}
	if problems := plan.Check(d, o); len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
}

func desiredPort() plan.Port {
	return plan.Port{Name: "link1", Device: "eth1", Interface: "macsec1", SCIPort: sciPort, Suite: sa.GCMAES256,
		Encrypt: true, SendSCI: true, Must: true, MTU: 1500,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/30")},
		Filter:    plan.Filter{EAPOLDestination: plan.MAC{1, 0x80, 0xc2, 0, 0, 3}, EAPOLEtherType: 0x888e}}
}

func window(w uint32) *uint32 { return &w }

// variants change a port; each is also a way that a live port is changed.
var variants = []struct {
	name   string
	change func(*plan.Port)
}{
	{"as it comes", func(*plan.Port) {}},
	{"gcm-aes-128", func(p *plan.Port) { p.Suite = sa.GCMAES128 }},
	{"gcm-aes-xpn-128", func(p *plan.Port) { p.Suite = sa.GCMAESXPN128 }},
	{"gcm-aes-xpn-256", func(p *plan.Port) { p.Suite = sa.GCMAESXPN256 }},
	{"integrity only", func(p *plan.Port) { p.Encrypt = false }},
	{"replay window 0", func(p *plan.Port) { p.ReplayWindow = window(0) }},
	{"replay window 64", func(p *plan.Port) { p.ReplayWindow = window(64) }},
	{"replay window 64 with XPN", func(p *plan.Port) { p.Suite, p.ReplayWindow = sa.GCMAESXPN128, window(64) }},
	{"no SCI", func(p *plan.Port) { p.SendSCI = false }},
	{"should", func(p *plan.Port) { p.Must = false }},
	{"addresses of both families", func(p *plan.Port) {
		p.Addresses = append(p.Addresses, netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("198.51.100.1/32"))
	}},
	{"no addresses", func(p *plan.Port) { p.Addresses = []netip.Prefix{} }},
	{"addresses not ours", func(p *plan.Port) { p.Addresses = nil }},
	{"mtu 1400", func(p *plan.Port) { p.MTU = 1400 }},
	{"mtu of the parent", func(p *plan.Port) { p.MTU = 0 }},
	{"allow and EAPOL", func(p *plan.Port) {
		p.Filter = plan.Filter{EAPOLDestination: plan.MAC{2, 0, 0, 0, 0, 9}, EAPOLEtherType: 0x876f, Allow: []string{"lldp", "lacp"}}
	}},
	{"tags", func(p *plan.Port) {
		p.Tags = &plan.Tags{Rules: []plan.TagRule{
			{Name: "voice", Direction: "egress", STag: 100, CTag: 10, DSCP: 46, Prefix: netip.MustParsePrefix("10.1.0.0/16"), Protocol: 17, Port: 5060, Mark: 0x10, Mask: 0xff, Priority: 6, SetDSCP: 34},
			{Name: "site", Direction: "both", DSCP: -1, Prefix: netip.MustParsePrefix("2001:db8::/32"), Protocol: -1, Priority: -1, SetDSCP: -1}}}
	}},
	{"tags that only count", func(p *plan.Port) { p.Tags = &plan.Tags{Rules: []plan.TagRule{}} }},
	{"other interface name", func(p *plan.Port) { p.Interface = "sec0" }},
}

func TestApplyThenPlanIsEmpty(t *testing.T) {
	probetest.Need(t, append(needs, probe.MACsec, probe.MACsecXPN)...)
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T, k *Kernel) {
				p := desiredPort()
				v.change(&p)
				applyAll(t, k, plan.Desired{Ports: []plan.Port{p}}, nil)
			})
		})
	}
}

// One device goes through all configurations, one after the other, and away.
func TestChangeThenPlanIsEmpty(t *testing.T) {
	probetest.Need(t, append(needs, probe.MACsec, probe.MACsecXPN)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		for _, v := range variants {
			p := desiredPort()
			v.change(&p)
			applyAll(t, k, plan.Desired{Ports: []plan.Port{p}}, nil)
		}
		applyAll(t, k, plan.Desired{}, nil)
		o := observe(t, k, plan.Desired{})
		if len(o.Filters) > 0 {
			t.Errorf("filters %v are left", o.Filters)
		}
		for name, l := range o.Links {
			if l.MACsec != nil {
				t.Errorf("MACsec device %s is left", name)
			}
		}
	})
}

// A live change keeps the device, its index and its SAs with it.
func TestLiveChangeKeepsDevice(t *testing.T) {
	probetest.Need(t, append(needs, probe.MACsec)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		p := desiredPort()
		d := plan.Desired{Ports: []plan.Port{p}}
		applyAll(t, k, d, nil)
		before := observe(t, k, d).Links["macsec1"].Index
		d.Ports[0].Encrypt, d.Ports[0].SendSCI, d.Ports[0].ReplayWindow, d.Ports[0].MTU = false, false, window(64), 1400
		applyAll(t, k, d, nil)
		if after := observe(t, k, d).Links["macsec1"].Index; after != before {
			t.Errorf("ifindex was %d, is %d", before, after)
		}
		d.Ports[0].Suite = sa.GCMAES128
		applyAll(t, k, d, nil)
		if after := observe(t, k, d).Links["macsec1"].Index; after == before {
			t.Errorf("ifindex is still %d after a change of cipher", after)
		}
	})
}

// The parent is filtered and bare before it comes up, whatever was on it, and
// also where the MACsec device cannot be made.
func TestFilterBeforeUp(t *testing.T) {
	probetest.Need(t, needs...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		eth1, err := netlink.LinkByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		foreign := []string{"10.0.0.4/24", "10.0.0.5/24", "2001:db8:1::4/64"}
		for _, a := range foreign {
			addr, err := netlink.ParseAddr(a)
			if err != nil {
				t.Fatal(err)
			}
			if err := netlink.AddrAdd(eth1, addr); err != nil {
				t.Fatal(err)
			}
		}
		d := plan.Desired{Ports: []plan.Port{desiredPort()}}
		o := observe(t, k, d)
		if n := len(o.Links["eth1"].Addresses); n != len(foreign) {
			t.Fatalf("%d addresses observed on eth1, want %d", n, len(foreign))
		}
		steps := plan.Build(d, o)
		create := slices.IndexFunc(steps, func(s plan.Step) bool { return s.Kind == plan.CreateDevice })
		wentUp := false
		for _, s := range steps[:create] {
			if err := k.Apply(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			o := observe(t, k, d)
			filter, there := o.Filters["eth1"]
			if !there || !filter.Equal(d.Ports[0].Filter) {
				t.Errorf("after %q the filter is %v, there: %v", s, filter, there)
			}
			if l := o.Links["eth1"]; l.Up && (len(l.Addresses) > 0 || l.IPv6) {
				t.Errorf("after %q eth1 is up with addresses %v, IPv6 %v", s, l.Addresses, l.IPv6)
			}
			wentUp = wentUp || o.Links["eth1"].Up
		}
		if !wentUp {
			t.Error("eth1 never went up")
		}
		for _, s := range plan.Build(d, observe(t, k, d)) {
			if s.Link == "eth1" || s.Kind == plan.SetFilter {
				t.Errorf("left to do on the parent: %s", s)
			}
		}
	})
}

func TestInterruptedMaking(t *testing.T) {
	probetest.Need(t, append(needs, probe.MACsec)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		d := plan.Desired{Ports: []plan.Port{desiredPort()}}
		applyAll(t, k, d, nil)
		// Back to what a daemon leaves that dies before the last message.
		l, err := k.links.ByName("macsec1")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(k.links.SetDown(l.Index), k.links.SetNameAlias(l.Index, plan.UnfinishedName, "")); err != nil {
			t.Fatal(err)
		}
		applyAll(t, k, d, nil)
		o := observe(t, k, d)
		if _, left := o.Links[plan.UnfinishedName]; left || o.Links["macsec1"].Alias != "linkseal:link1" {
			t.Errorf("links %v", o.Links)
		}
	})
}

func TestForeignDeviceStays(t *testing.T) {
	probetest.Need(t, append(needs, probe.MACsec)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		d := plan.Desired{Ports: []plan.Port{desiredPort()}}
		applyAll(t, k, d, nil)
		l, err := k.links.ByName("macsec1")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(k.links.SetDown(l.Index), k.links.SetNameAlias(l.Index, "macsec1", "somebody's")); err != nil {
			t.Fatal(err)
		}
		o := observe(t, k, d)
		if steps := plan.Build(d, o); len(steps) > 0 {
			t.Errorf("steps %v", steps)
		}
		problems := plan.Check(d, o)
		if len(problems) == 0 || !strings.Contains(problems[0].Cause, "was not made by linkseal") {
			t.Errorf("problems %v", problems)
		}
	})
}
