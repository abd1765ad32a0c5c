package plan

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

var (
	eth1MAC  = MAC{0x02, 0, 0, 0, 0, 1}
	pae      = Filter{EAPOLDestination: MAC{1, 0x80, 0xc2, 0, 0, 3}, EAPOLEtherType: 0x888e}
	counting = Filter{EAPOLDestination: MAC{1, 0x80, 0xc2, 0, 0, 3}, EAPOLEtherType: 0x888e, CountOnly: true}
)

func zero() *uint32 { return new(uint32) }

func link1() Port {
	return Port{Name: "link1", Device: "eth1", Interface: "macsec1", SCIPort: 1, Suite: sa.GCMAESXPN256,
		Encrypt: true, SendSCI: true, ReplayWindow: zero(), Must: true, MTU: 1500,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/30")}, Filter: pae}
}

func machine(links ...Link) Observed {
	o := Observed{Links: map[string]Link{}, Filters: map[string]Filter{}, Rules: map[Family]bool{}, HashPorts: map[Family]bool{}, HashBefore: map[Family]string{}, MSS: map[string]int{}}
	for _, l := range links {
		o.Links[l.Name] = l
	}
	return o
}

func eth1() Link { return Link{Name: "eth1", MTU: 1532, MAC: eth1MAC, IPv6: true} }

// built is macsec1 as link1 wants it.
func built() Link {
	return Link{Name: "macsec1", Alias: "linkseal:link1", Parent: "eth1", Up: true, MTU: 1500, MAC: eth1MAC, IPv6: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::1/64"), netip.MustParsePrefix("192.0.2.1/30")},
		MACsec: &MACsec{SCI: sa.NewSCI(eth1MAC, 1), Suite: sa.GCMAESXPN256, Encrypt: true, SendSCI: true,
			ReplayWindow: zero(), Protect: true, Validate: ValidateStrict}}
}

// secured is the machine with link1 as desired.
func secured() Observed {
	parent := eth1()
	parent.Up, parent.IPv6 = true, false
	o := machine(parent, built())
	o.Filters["eth1"] = pae
	return o
}

func lines(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

func TestBuild(t *testing.T) {
	with := func(change func(*Port)) Desired {
		p := link1()
		change(&p)
		return Desired{Ports: []Port{p}}
	}
	same := func(*Port) {}
	seen := func(change func(Observed, *Link)) Observed {
		o := secured()
		l := o.Links["macsec1"]
		change(o, &l)
		o.Links["macsec1"] = l
		return o
	}
	const create = "create macsec1 on eth1: gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000010001\n"
	const rest = "add address 192.0.2.1/30 to macsec1\nset macsec1 up\n"
	const filter = "filter eth1: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass"
	for name, c := range map[string]struct {
		desired  Desired
		observed Observed
		want     string
	}{
		"nothing to do": {with(same), secured(), ""},
		"from nothing": {with(same), func() Observed {
			l := eth1()
			l.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.4/24")}
			return machine(l)
		}(), filter + "\n" +
			"remove address 10.0.0.4/24 from eth1 (the parent of a must-secure port has none)\n" +
			"disable IPv6 on eth1 (the parent of a must-secure port has none)\n" +
			"set eth1 up\n" + create + rest},
		"mtu below the parent's": {with(func(p *Port) { p.MTU = 1400 }), secured(), "set macsec1 mtu 1400\n"},
		"mtu left to the parent": {with(func(p *Port) { p.MTU = 0 }), secured(), ""},
		"cipher": {with(func(p *Port) { p.Suite = sa.GCMAES128 }), secured(),
			"delete macsec1 (cipher changes from gcm-aes-xpn-256 to gcm-aes-128, which a live device cannot: made anew)\n" +
				strings.Replace(create, "xpn-256", "128", 1) + rest},
		"send_sci": {with(func(p *Port) { p.SendSCI = false }), secured(),
			"change macsec1: gcm-aes-xpn-256, encrypt, replay window 0, no SCI in frames, sci 0200000000010001 (send_sci true -> false)\n"},
		"parent's MAC address": {with(same), seen(func(o Observed, _ *Link) {
			l := o.Links["eth1"]
			l.MAC[5] = 2
			o.Links["eth1"] = l
		}), "delete macsec1 (SCI changes from 0200000000010001 to 0200000000020001, which a live device cannot: made anew)\n" +
			strings.Replace(create, "10001", "20001", 1) + rest},
		"integrity only, replay off": {with(func(p *Port) { p.Encrypt, p.ReplayWindow = false, nil }), secured(),
			"change macsec1: gcm-aes-xpn-256, integrity only, no replay protection, sci 0200000000010001 (encrypt true -> false, replay window 0 -> off)\n"},
		"protect off is put right": {with(same), seen(func(_ Observed, l *Link) { m := *l.MACsec; m.Protect = false; l.MACsec = &m }),
			"change macsec1: gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000010001 (protect false -> true)\n"},
		"should leaves protect and validate": {with(func(p *Port) { p.Must = false }), seen(func(o Observed, l *Link) {
			m := *l.MACsec
			m.Protect, m.Validate = false, ValidateDisabled
			l.MACsec = &m
			o.Filters["eth1"] = counting
		}), ""},
		"should is counted": {with(func(p *Port) { p.Must = false }), seen(func(o Observed, _ *Link) { delete(o.Filters, "eth1") }), "count frames on eth1: " + counting.String() + "\n"},
		"should to must":    {with(same), seen(func(o Observed, _ *Link) { o.Filters["eth1"] = counting }), filter + "\n"},
		"must to should":    {with(func(p *Port) { p.Must = false }), secured(), "enable IPv6 on eth1 (no must-secure port is on it)\ncount frames on eth1: " + counting.String() + " (no must-secure port is on it)\n"},
		"allow list": {with(func(p *Port) { p.Filter.Allow = []string{"lldp", "lacp"} }), secured(),
			strings.Replace(filter, " may", ", lacp, lldp may", 1) + "\n"},
		"addresses changed": {with(func(p *Port) { p.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/31")} }), secured(),
			"remove address 192.0.2.1/30 from macsec1\nadd address 198.51.100.1/31 to macsec1\n"},
		"addresses not ours": {with(func(p *Port) { p.Addresses = nil }), secured(), ""},
		"addresses none":     {with(func(p *Port) { p.Addresses = []netip.Prefix{} }), secured(), "remove address 192.0.2.1/30 from macsec1\n"},
		"admin down":         {with(same), seen(func(_ Observed, l *Link) { l.Up = false }), "set macsec1 up\n"},
		"port removed": {Desired{}, secured(),
			"delete macsec1 (port link1 is not in the configuration)\nenable IPv6 on eth1 (no must-secure port is on it)\nremove the filter from eth1 (no must-secure port is on it)\n"},
		"interface renamed": {with(func(p *Port) { p.Interface = "sec0" }), secured(),
			"delete macsec1 (port link1 now has interface sec0)\n" + strings.ReplaceAll(create+rest, "macsec1", "sec0")},
		"device renamed": {with(same), func() Observed {
			o := secured()
			parent, secy := o.Links["eth1"], o.Links["macsec1"]
			delete(o.Links, "eth1")
			parent.Name, secy.Parent = "enp1s0", "enp1s0"
			o.Links["enp1s0"], o.Links["macsec1"] = parent, secy
			o.Filters = map[string]Filter{"enp1s0": o.Filters["eth1"]}
			return o
		}(), ""},
		"blocked, and cannot be changed alive": {with(func(p *Port) { p.MTU, p.Suite = 9000, sa.GCMAES256 }), secured(), ""},
		"device gone":                          {with(same), machine(), ""},
		"foreign device of that name":          {with(same), seen(func(_ Observed, l *Link) { l.Alias = "" }), ""},
		"foreign device of that name, parent not bare": {with(same), func() Observed {
			l := built()
			l.Alias = "mine"
			return machine(eth1(), l)
		}(), filter + "\ndisable IPv6 on eth1 (the parent of a must-secure port has none)\n"},
		"interrupted making": {with(same), func() Observed {
			o := secured()
			l := o.Links["macsec1"]
			l.Name, l.Alias, l.Up = "linkseal.new", "", false
			o.Links["linkseal.new"] = l
			delete(o.Links, "macsec1")
			return o
		}(), "delete linkseal.new (its making was interrupted)\n" + create + rest},
		"foreign devices stay": {Desired{}, machine(eth1(), Link{Name: "macsec9", Parent: "eth1", MACsec: built().MACsec}), ""},
		"moved to another device": {with(func(p *Port) { p.Device = "eth2" }), func() Observed {
			o := secured()
			o.Links["eth2"] = Link{Name: "eth2", MTU: 1532, MAC: MAC{2, 0, 0, 0, 0, 2}, Up: true}
			return o
		}(), strings.ReplaceAll(filter, "eth1", "eth2") + "\n" +
			"delete macsec1 (it stands on eth1, port link1 now on eth2)\n" +
			"create macsec1 on eth2: gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000020001\n" + rest +
			"enable IPv6 on eth1 (no must-secure port is on it)\nremove the filter from eth1 (no must-secure port is on it)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, lines(Build(c.desired, c.observed))); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	foreign := built()
	foreign.Alias = ""
	other := foreign
	other.Name = "macsec7"
	for name, c := range map[string]struct {
		port     func(*Port)
		observed Observed
		want     string // "" for none
	}{
		"fine":      {func(*Port) {}, secured(), ""},
		"no device": {func(*Port) {}, machine(), "port link1: device eth1 does not exist; linkseal goes on when it appears; `ip link` lists the devices that there are"},
		"device renamed": {func(*Port) {}, func() Observed {
			l := eth1()
			l.Name = "enp1s0"
			o := machine(l)
			o.Filters["enp1s0"] = link1().Filter
			return o
		}(), "port link1: device eth1 does not exist; linkseal goes on when it appears; `ip link` lists the devices that there are; the filter of enp1s0 stays until then: it may be the same device, renamed"},
		"no address": {func(*Port) {}, func() Observed {
			l := eth1()
			l.MAC = MAC{}
			return machine(l)
		}(), "port link1: device eth1 has no Ethernet address; name an Ethernet device; `ip link` lists them"},
		"unreadable filter": {func(*Port) {}, func() Observed {
			o := secured()
			o.Unreadable = map[string]string{"eth1": "no permission"}
			return o
		}(), "port link1: the filter of eth1 cannot be read: no permission; linkseal tries to set it, and looks again"},
		"mtu":              {func(p *Port) { p.MTU = 1501 }, secured(), "port link1: mtu 1501 does not fit on eth1: its MTU is 1532 and MACsec takes 32 octets of it; ip link set eth1 mtu 1533, or mtu: 1500 in the configuration"},
		"foreign":          {func(*Port) {}, machine(eth1(), foreign), "port link1: interface macsec1 exists and was not made by linkseal; ip link delete macsec1 if nobody needs it, or give the port another interface name"},
		"same SCI":         {func(*Port) {}, machine(eth1(), other), "port link1: macsec7 on eth1 has the port's SCI 0200000000010001 already and was not made by linkseal; ip link delete macsec7, or stop what made it"},
		"MACsec on MACsec": {func(p *Port) { p.Device, p.Interface, p.MTU = "macsec1", "macsec2", 0 }, secured(), "port link1: device macsec1 is a MACsec device itself; name the device below it"},
	} {
		t.Run(name, func(t *testing.T) {
			p := link1()
			c.port(&p)
			var got string
			for _, problem := range Check(Desired{Ports: []Port{p}}, c.observed) {
				got += problem.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStepJSON(t *testing.T) {
	p := link1()
	p.ReplayWindow = nil
	steps := Build(Desired{Ports: []Port{p}}, machine(eth1()))
	got, err := json.Marshal(steps[3])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"step":"create-device","port":"link1","interface":"macsec1","device":"eth1","dataplane":"kernel","macsec":{"sci":"0200000000010001","cipher":"gcm-aes-xpn-256","encrypt":true,"send_sci":true,"replay_window":null,"protect":true,"validate":"strict"},"text":"create macsec1 on eth1: gcm-aes-xpn-256, encrypt, no replay protection, sci 0200000000010001"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("json (-want +got):\n%s", diff)
	}
}
