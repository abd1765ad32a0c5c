package reconcile

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// needsTap is what a must-secure port in user space needs of a kernel.
var needsTap = append(slices.Clone(needs), probe.Tap)

func tapPort() plan.Port {
	p := desiredPort()
	p.Dataplane = plan.Userspace
	return p
}

// ofMACsec tells whether p differs from tapPort in what a tap does not have.
func ofMACsec(p plan.Port) bool {
	return p.Suite != sa.GCMAES256 || !p.Encrypt || !p.SendSCI || p.ReplayWindow != nil
}

func TestTapApplyThenPlanIsEmpty(t *testing.T) {
	probetest.Need(t, needsTap...)
	for _, v := range variants {
		p := tapPort()
		if v.change(&p); ofMACsec(p) {
			continue // the same tap
		}
		t.Run(v.name, func(t *testing.T) {
			inNamespace(t, func(t *testing.T, k *Kernel) {
				applyAll(t, k, plan.Desired{Ports: []plan.Port{p}}, nil)
				o := observe(t, k, plan.Desired{})
				l, parent := o.Links[p.Interface], o.Links["eth1"]
				if !l.Tap || !l.Up || l.Carrier || l.Parent != "" || l.MAC != parent.MAC || l.Alias != "linkseal:link1" {
					t.Errorf("%+v on %+v", l, parent)
				}
				seen, err := k.links.ByName(p.Interface)
				if err != nil || seen.Mode != link.ModeDormant || seen.OperState == link.OperUp {
					t.Errorf("%+v, %v", seen, err)
				}
			})
		})
	}
}

// One tap goes through all configurations: what is of MACsec makes no step,
// and but for another name it stays the device that it was.
func TestTapLiveChanges(t *testing.T) {
	probetest.Need(t, needsTap...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		d := plan.Desired{Ports: []plan.Port{tapPort()}}
		applyAll(t, k, d, nil)
		first := observe(t, k, d).Links["macsec1"]
		for _, v := range variants {
			d.Ports[0] = tapPort()
			v.change(&d.Ports[0])
			var steps []plan.Step
			applyAll(t, k, d, func(s plan.Step) { steps = append(steps, s) })
			if ofMACsec(d.Ports[0]) && len(steps) > 0 {
				t.Errorf("%s: steps %v", v.name, steps)
			}
			now, there := observe(t, k, d).Links["macsec1"]
			switch {
			case d.Ports[0].Interface != "macsec1" && there:
				t.Errorf("%s: macsec1 is left", v.name)
			case there && now.Index != first.Index:
				t.Errorf("%s: ifindex was %d, is %d", v.name, first.Index, now.Index)
			}
			d.Ports[0] = tapPort()
			applyAll(t, k, d, nil)
			first = observe(t, k, d).Links["macsec1"]
		}
		applyAll(t, k, plan.Desired{}, nil)
		o := observe(t, k, plan.Desired{})
		for name, l := range o.Links {
			if l.Tap {
				t.Errorf("tap %s is left", name)
			}
		}
		if len(o.Filters) > 0 {
			t.Errorf("filters %v are left", o.Filters)
		}
	})
}

// What a tap's tags count is read from another Kernel too, which finds nothing to
// do; without tags nothing of them is left.
func TestTagging(t *testing.T) {
	probetest.Need(t, needsTap...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		p := tapPort()
		p.Tags = &plan.Tags{Rules: []plan.TagRule{
			{Name: "six", Direction: "egress", DSCP: -1, Prefix: netip.MustParsePrefix("fe80::/10"), Protocol: -1, Priority: 7, SetDSCP: -1}}}
		d := plan.Desired{Ports: []plan.Port{p}}
		applyAll(t, k, d, nil)
		if _, err := k.Tagging("macsec9"); !gone(err) {
			t.Errorf("of no device: %v", err)
		}
		again, err := OpenKernel()
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if steps := plan.Build(d, observe(t, again, d)); len(steps) > 0 {
			t.Errorf("another daemon would %v", steps)
		}
		got, err := again.Tagging("macsec1")
		if err != nil || got.TagsBy == "" || len(got.Classes) != 4 || got.Classes[0].Name != "six" || got.Classes[3].Name != "other" {
			t.Errorf("%+v, %v", got, err)
		}
		d.Ports[0].Tags = nil
		applyAll(t, k, d, nil)
		if _, err := k.Tagging("macsec1"); !errors.Is(err, bpf.ErrNotTagged) {
			t.Errorf("after the tags have gone: %v", err)
		}
	})
}

// The tap follows the parent's MAC address, and the port to another parent.
func TestTapFollowsParent(t *testing.T) {
	probetest.Need(t, needsTap...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		if err := addVeth("eth2", "peer2"); err != nil {
			t.Fatal(err)
		}
		d := plan.Desired{Ports: []plan.Port{tapPort()}}
		applyAll(t, k, d, nil)
		index := observe(t, k, d).Links["macsec1"].Index
		same := func(parent string) {
			t.Helper()
			o := observe(t, k, d)
			if l := o.Links["macsec1"]; l.Index != index || l.MAC != o.Links[parent].MAC || l.MAC == (plan.MAC{}) {
				t.Errorf("%+v, was ifindex %d; %s has %s", l, index, parent, o.Links[parent].MAC)
			}
		}
		eth1, err := netlink.LinkByName("eth1")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetHardwareAddr(eth1, []byte{2, 0, 0, 0, 0, 0x77}); err != nil {
			t.Fatal(err)
		}
		var steps []string
		applyAll(t, k, d, func(s plan.Step) { steps = append(steps, s.String()) })
		// The filter knows the address too.
		want := []string{"filter eth1: " + d.Ports[0].Filter.String(), "set macsec1 mac 02:00:00:00:00:77 (that of eth1)"}
		if !slices.Equal(steps, want) {
			t.Errorf("steps %q, want %q", steps, want)
		}
		same("eth1")
		d.Ports[0].Device, d.Ports[0].Addresses = "eth2", []netip.Prefix{netip.MustParsePrefix("198.51.100.1/31")}
		applyAll(t, k, d, nil)
		same("eth2")
		if f := observe(t, k, d).Filters; len(f) != 1 || !f["eth2"].Equal(d.Ports[0].Filter) {
			t.Errorf("filters %v", f)
		}
	})
}

// A tap whose maker died is made anew, and a foreign one is nobody's to touch.
func TestTapInterruptedAndForeign(t *testing.T) {
	probetest.Need(t, needsTap...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		d := plan.Desired{Ports: []plan.Port{tapPort()}}
		rename := func(name, alias string) {
			t.Helper()
			l, err := k.links.ByName("macsec1")
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(k.links.SetDown(l.Index), k.links.SetNameAlias(l.Index, name, alias)); err != nil {
				t.Fatal(err)
			}
		}
		applyAll(t, k, d, nil)
		rename(plan.UnfinishedName, "")
		applyAll(t, k, d, nil)
		if _, left := observe(t, k, d).Links[plan.UnfinishedName]; left {
			t.Errorf("%s is left", plan.UnfinishedName)
		}
		rename("macsec1", "somebody's")
		o := observe(t, k, d)
		if steps := plan.Build(d, o); len(steps) > 0 {
			t.Errorf("steps %v", steps)
		}
		if problems := plan.Check(d, o); len(problems) != 1 || problems[0].Cause != "interface macsec1 exists and was not made by linkseal" {
			t.Errorf("problems %v", problems)
		}
		if steps := plan.Build(plan.Desired{}, o); slices.ContainsFunc(steps, func(s plan.Step) bool { return s.Kind == plan.DeleteDevice }) {
			t.Errorf("the foreign tap would be deleted: %v", steps)
		}
	})
}

// A port goes from the kernel to user space and back, each time with a device
// made anew.
func TestDataplaneChanges(t *testing.T) {
	probetest.Need(t, append(needsTap, probe.MACsec)...)
	inNamespace(t, func(t *testing.T, k *Kernel) {
		d := plan.Desired{Ports: []plan.Port{desiredPort()}}
		for _, to := range []plan.Dataplane{plan.Kernel, plan.Userspace, plan.Kernel} {
			d.Ports[0].Dataplane = to
			applyAll(t, k, d, nil)
			if l := observe(t, k, d).Links["macsec1"]; l.Tap != (to == plan.Userspace) || (l.MACsec != nil) != (to == plan.Kernel) {
				t.Errorf("%s: %+v", to, l)
			}
		}
	})
}

// What this kernel can, by trial and by asking, is the same.
func TestCapabilities(t *testing.T) {
	probetest.Need(t, probe.CapSysAdmin)
	tried, told := (&Kernel{}).Capabilities(), asked()
	if (tried.NoMACsec == "") != (told.NoMACsec == "") || (tried.NoTap == "") != (told.NoTap == "") {
		t.Errorf("tried %+v, told %+v", tried, told)
	}
	none := func(f probe.Feature) probe.Result {
		return probe.Result{OK: f == probe.CapSysAdmin, Detail: "no " + f.ID()}
	}
	if got, want := Capabilities(none), (plan.Capabilities{NoMACsec: "no macsec", NoTap: "no tap", NoWireGuard: "no wireguard", NoESP: "no xfrm", NoXFRM: "no xfrm_interface"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	// Whatever was not tried, the answer is what can be told without.
	for _, unknown := range []probe.Feature{probe.CapSysAdmin, probe.MACsec, probe.MACsecXPN} {
		got := Capabilities(func(f probe.Feature) probe.Result {
			return probe.Result{OK: f != unknown, Unknown: f == unknown, Detail: "not known"}
		})
		want := told
		want.Untried = "not known"
		if got != want {
			t.Errorf("%s: %+v, want %+v", unknown, got, want)
		}
	}
}
