package plan

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

func TestChoose(t *testing.T) {
	no := Capabilities{NoMACsec: "not supported", NoXPN: "invalid argument", NoTap: "no such file"}
	for name, c := range map[string]struct {
		can   Capabilities
		asked Dataplane
		suite sa.Suite
		want  Choice
	}{
		"auto":                {Capabilities{}, Auto, sa.GCMAESXPN256, Choice{Kernel, "auto: the kernel has MACsec", nil}},
		"auto, no tap":        {Capabilities{NoTap: no.NoTap}, Auto, sa.GCMAES256, Choice{Kernel, "auto: the kernel has MACsec", nil}},
		"auto, no MACsec":     {Capabilities{NoMACsec: no.NoMACsec}, Auto, sa.GCMAES256, Choice{Userspace, "auto: the kernel has no MACsec (not supported)", nil}},
		"auto, XPN missing":   {Capabilities{NoXPN: no.NoXPN}, Auto, sa.GCMAESXPN128, Choice{Userspace, "auto: the kernel's MACsec has no gcm-aes-xpn-128 (invalid argument)", nil}},
		"auto, XPN not asked": {Capabilities{NoXPN: no.NoXPN}, Auto, sa.GCMAES128, Choice{Kernel, "auto: the kernel has MACsec", nil}},
		"auto, neither": {no, Auto, sa.GCMAES256, Choice{Userspace, "auto: the kernel has no MACsec (not supported)", &Lack{
			"dataplane auto: the kernel has no MACsec (not supported), and there is no tap device (no such file)",
			"a kernel with CONFIG_MACSEC; or a kernel with CONFIG_TUN and its /dev/net/tun"}}},
		"kernel": {Capabilities{NoTap: no.NoTap}, Kernel, sa.GCMAESXPN256, Choice{Kernel, "configured", nil}},
		"kernel, no MACsec": {Capabilities{NoMACsec: no.NoMACsec}, Kernel, sa.GCMAES256, Choice{Kernel, "configured", &Lack{
			"dataplane kernel: the kernel has no MACsec (not supported)", "dataplane: userspace or auto, or a kernel with CONFIG_MACSEC"}}},
		"kernel, no XPN": {Capabilities{NoXPN: no.NoXPN}, Kernel, sa.GCMAESXPN256, Choice{Kernel, "configured", &Lack{
			"dataplane kernel: the kernel's MACsec has no gcm-aes-xpn-256 (invalid argument)", "dataplane: userspace or auto, or Linux 5.7 or later, or a cipher without xpn"}}},
		"userspace": {Capabilities{NoMACsec: no.NoMACsec}, Userspace, sa.GCMAES256, Choice{Userspace, "configured", nil}},
		"userspace, no tap": {Capabilities{NoTap: no.NoTap}, Userspace, sa.GCMAES256, Choice{Userspace, "configured", &Lack{
			"dataplane userspace: there is no tap device (no such file)", "a kernel with CONFIG_TUN and its /dev/net/tun, or dataplane: kernel where the kernel has MACsec"}}},
	} {
		if diff := cmp.Diff(c.want, c.can.Choose(c.asked, c.suite)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// userspace1 is link1 with its SecY in user space.
func userspace1() Port {
	p := link1()
	p.Dataplane = Userspace
	return p
}

// tapped is the machine with userspace1 as desired.
func tapped() Observed {
	o := secured()
	l := built()
	l.Parent, l.MACsec, l.Tap = "", nil, true
	o.Links["macsec1"] = l
	return o
}

func TestBuildUserspace(t *testing.T) {
	seen := func(change func(Observed, *Link)) Observed {
		o := tapped()
		l := o.Links["macsec1"]
		change(o, &l)
		o.Links["macsec1"] = l
		return o
	}
	const create = "create macsec1 on eth1: userspace SecY (tap), gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000010001\n"
	const rest = "add address 192.0.2.1/30 to macsec1\nset macsec1 up\n"
	const filter = "filter eth1: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass"
	for name, c := range map[string]struct {
		port     func(*Port)
		observed Observed
		want     string
	}{
		"nothing to do": {func(*Port) {}, tapped(), ""},
		"from nothing": {func(*Port) {}, machine(eth1()), filter + "\n" +
			"disable IPv6 on eth1 (the parent of a must-secure port has none)\n" +
			"set eth1 up\n" + create + rest},
		"mtu is not the tap's": {func(p *Port) { p.MTU = 1400 }, machine(eth1()), filter + "\n" +
			"disable IPv6 on eth1 (the parent of a must-secure port has none)\n" +
			"set eth1 up\n" + create + "set macsec1 mtu 1400\n" + rest},
		"mtu": {func(p *Port) { p.MTU = 1400 }, tapped(), "set macsec1 mtu 1400\n"},
		"what is of MACsec is the SecY's": {func(p *Port) {
			p.Suite, p.Encrypt, p.SendSCI, p.ReplayWindow = sa.GCMAES128, false, false, nil
		}, tapped(), ""},
		"another address": {func(p *Port) { p.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/31")} }, tapped(),
			"remove address 192.0.2.1/30 from macsec1\nadd address 198.51.100.1/31 to macsec1\n"},
		"parent's MAC address": {func(*Port) {}, seen(func(o Observed, _ *Link) {
			l := o.Links["eth1"]
			l.MAC[5] = 2
			o.Links["eth1"] = l
		}), "set macsec1 mac 02:00:00:00:00:02 (that of eth1)\n"},
		"its own MAC address": {func(*Port) {}, seen(func(_ Observed, l *Link) { l.MAC[5] = 3 }), "set macsec1 mac 02:00:00:00:00:01 (that of eth1)\n"},
		"moved to another device": {func(p *Port) { p.Device = "eth2" }, seen(func(o Observed, _ *Link) {
			o.Links["eth2"] = Link{Name: "eth2", MTU: 1532, MAC: MAC{2, 0, 0, 0, 0, 2}, Up: true}
		}), strings.ReplaceAll(filter, "eth1", "eth2") + "\nset macsec1 mac 02:00:00:00:00:02 (that of eth2)\n" +
			"enable IPv6 on eth1 (no must-secure port is on it)\nremove the filter from eth1 (no must-secure port is on it)\n"},
		"interface renamed": {func(p *Port) { p.Interface = "sec0" }, tapped(),
			"delete macsec1 (port link1 now has interface sec0)\n" + strings.ReplaceAll(create+rest, "macsec1", "sec0")},
		"interrupted making": {func(*Port) {}, func() Observed {
			o := tapped()
			l := o.Links["macsec1"]
			l.Name, l.Alias, l.Up = "linkseal.new", "", false
			o.Links["linkseal.new"] = l
			delete(o.Links, "macsec1")
			return o
		}(), "delete linkseal.new (its making was interrupted)\n" + create + rest},
		"from the kernel": {func(*Port) {}, secured(),
			"delete macsec1 (dataplane changes from kernel to userspace, which a live device cannot: made anew)\n" + create + rest},
		"to the kernel": {func(p *Port) { p.Dataplane = Kernel }, tapped(),
			"delete macsec1 (dataplane changes from userspace to kernel, which a live device cannot: made anew)\n" +
				strings.Replace(create, "userspace SecY (tap), ", "", 1) + rest},
		"foreign tap of that name": {func(*Port) {}, seen(func(_ Observed, l *Link) { l.Alias = "" }), ""},
		"cannot be had, is there":  {func(p *Port) { p.Lack = &Lack{"no", "yes"} }, tapped(), ""},
		"cannot be had":            {func(p *Port) { p.Lack = &Lack{"no", "yes"} }, machine(eth1()), filter + "\ndisable IPv6 on eth1 (the parent of a must-secure port has none)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := userspace1()
			c.port(&p)
			if diff := cmp.Diff(c.want, lines(Build(Desired{Ports: []Port{p}}, c.observed))); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff("delete macsec1 (port link1 is not in the configuration)\nenable IPv6 on eth1 (no must-secure port is on it)\nremove the filter from eth1 (no must-secure port is on it)\n",
		lines(Build(Desired{}, tapped()))); diff != "" {
		t.Errorf("port removed (-want +got):\n%s", diff)
	}
}

func TestCheckUserspace(t *testing.T) {
	on := userspace1()
	on.Device, on.Interface, on.MTU = "macsec1", "macsec2", 0
	lacking := userspace1()
	lacking.Lack = &Lack{"no tap", "get one"}
	foreign := tapped()
	l := foreign.Links["macsec1"]
	l.Alias = ""
	foreign.Links["macsec1"] = l
	for name, c := range map[string]struct {
		port     Port
		observed Observed
		want     string
	}{
		"fine":                   {userspace1(), tapped(), ""},
		"on another port's tap":  {on, tapped(), "port link1: device macsec1 is a MACsec device itself; name the device below it"},
		"foreign tap":            {userspace1(), foreign, "port link1: interface macsec1 exists and was not made by linkseal; ip link delete macsec1 if nobody needs it, or give the port another interface name"},
		"cannot be had":          {lacking, tapped(), "port link1: no tap; get one"},
		"cannot be had, nor eth": {lacking, machine(), "port link1: device eth1 does not exist; linkseal goes on when it appears; `ip link` lists the devices that there are\nport link1: no tap; get one"},
	} {
		var got []string
		for _, problem := range Check(Desired{Ports: []Port{c.port}}, c.observed) {
			got = append(got, problem.Error())
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStepJSONUserspace(t *testing.T) {
	o := machine(eth1())
	var got []string
	for _, s := range append(Build(Desired{Ports: []Port{userspace1()}}, o)[3:4], Step{Kind: SetMAC, Port: "link1", Link: "macsec1", MAC: eth1MAC}) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"step":"create-device","port":"link1","interface":"macsec1","device":"eth1","dataplane":"userspace","macsec":{"sci":"0200000000010001","cipher":"gcm-aes-xpn-256","encrypt":true,"send_sci":true,"replay_window":0,"protect":true,"validate":"strict"},"text":"create macsec1 on eth1: userspace SecY (tap), gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000010001"}`,
		`{"step":"set-mac","port":"link1","interface":"macsec1","mac":"02:00:00:00:00:01","text":"set macsec1 mac 02:00:00:00:00:01"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
}
