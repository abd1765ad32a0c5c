package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func hub1() Tunnel {
	return Tunnel{Name: "hub1", Device: "eth1", Must: true, Link: WireGuard, Members: []Member{{Interface: "wg1"}}, Known: true, Live: []string{"wg1"},
		Protect: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, Addresses: []netip.Prefix{netip.MustParsePrefix("169.254.21.2/30")}, MTU: 1400, MSS: 1350,
		Remotes: []netip.Addr{netip.MustParseAddr("10.20.0.5")},
		Flows:   []Flow{{Protocol: WireGuard, Local: netip.MustParseAddr("10.0.0.4"), LocalPort: 51820, Roams: true}}}
}

// esp is hub1's flow as IPsec, with the SPIs in and out.
func esp(spi ...uint32) []Flow {
	f := Flow{Protocol: XFRM, Local: netip.MustParseAddr("10.0.0.4"), Remote: netip.MustParseAddr("10.20.0.5")}
	if len(spi) == 2 {
		f.SPIIn, f.SPIOut = spi[:1], spi[1:]
	}
	return []Flow{f}
}

// builtTunnels is the machine with these tunnels as desired.
func builtTunnels(t *testing.T, all ...Tunnel) *Observed {
	t.Helper()
	o := machine(eth1())
	for _, s := range Build(Desired{Tunnels: all}, o) {
		if err := apply(&o, s); err != nil {
			t.Fatal(err)
		}
	}
	return &o
}

func TestBuildTunnel(t *testing.T) {
	const (
		filter = "filter eth1: nothing from or to 10.20.0.0/16 may pass but tunnels\n"
		fence  = "fence: nothing to 10.20.0.0/16 leaves by an interface other than eth1, wg1\n"
		other  = "fence: nothing to 10.20.0.0/16 leaves by an interface other than eth1\n"
		rules  = "add ipv4 rule: 5210, look up table 19539\nadd ipv6 rule: 5210, look up table 19539\n"
		closed = "route throw 10.20.0.5/32\nroute unreachable 10.20.0.0/16\nroute unreachable 169.254.21.0/30\n"
		rest   = "set wg1 mtu 1400\nadd address 169.254.21.2/30 to wg1, without a route\nclamp MSS through wg1 to 1350\nset wg1 up\n"
		routes = "route 10.20.0.0/16 by wg1\nroute 169.254.21.0/30 by wg1\n"
		create = "create wg1: wireguard\n"
	)
	with := func(change func(*Tunnel)) []Tunnel {
		g := hub1()
		change(&g)
		return []Tunnel{g}
	}
	for name, c := range map[string]struct {
		have []Tunnel // nil: none yet
		seen func(*Observed)
		want []Tunnel
		step string
	}{
		"from nothing":      {nil, nil, with(func(*Tunnel) {}), filter + fence + rules + closed + create + rest + routes},
		"nothing to do":     {with(func(*Tunnel) {}), nil, with(func(*Tunnel) {}), ""},
		"not known":         {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Known, g.Live = false, nil }), ""},
		"dead":              {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Live = nil }), "remove route 10.20.0.0/16 by wg1\nremove route 169.254.21.0/30 by wg1\n"},
		"no IPv6":           {nil, func(o *Observed) { o.NoIPv6 = true }, with(func(g *Tunnel) { g.Protect = append(g.Protect, netip.MustParsePrefix("2001:db8::/32")) }), strings.Replace(filter, " may", ", 2001:db8::/32 may", 1) + strings.Replace(fence, " leaves", ", 2001:db8::/32 leaves", 1) + strings.Split(rules, "\n")[0] + "\n" + closed + create + rest + routes},
		"of the kernel's":   {with(func(g *Tunnel) { g.Link = TUN }), nil, with(func(*Tunnel) {}), "remove route 10.20.0.0/16 by wg1\nremove route 169.254.21.0/30 by wg1\ndelete wg1 (it changes from tun to wireguard, which a live interface cannot: made anew)\n" + create + strings.Replace(rest, "clamp MSS through wg1 to 1350\n", "", 1) + routes},
		"an XFRM interface": {nil, nil, with(func(g *Tunnel) { g.Link, g.Members[0].IfID = XFRM, 0xdeadbeef }), filter + fence + rules + closed + "create wg1: XFRM interface on eth1, if_id 0xdeadbeef\n" + rest + routes},
		"another prefix": {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Protect = []netip.Prefix{netip.MustParsePrefix("10.30.0.0/16")} }),
			"filter eth1: nothing from or to 10.20.0.0/16, 10.30.0.0/16 may pass but tunnels\nfence: nothing to 10.20.0.0/16, 10.30.0.0/16 leaves by an interface other than eth1, wg1\nroute unreachable 10.30.0.0/16\nremove route 10.20.0.0/16 by wg1\nroute 10.30.0.0/16 by wg1\n" +
				"remove route unreachable 10.20.0.0/16 (no tunnel wants it)\nfence: nothing to 10.30.0.0/16 leaves by an interface other than eth1, wg1 (it is protected no more)\nfilter eth1: nothing from or to 10.30.0.0/16 may pass but tunnels (it is protected no more)\n"},
		"must to should": {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Must = false }),
			"remove route unreachable 169.254.21.0/30 (no tunnel wants it)\nremove route unreachable 10.20.0.0/16 (no tunnel wants it)\nremove the fence (no tunnel protects anything)\nremove the filter from eth1 (no must-secure tunnel is on it)\n"},
		"rule and filter are gone": {with(func(*Tunnel) {}), func(o *Observed) { delete(o.Rules, IPv4); delete(o.Filters, "eth1") }, with(func(*Tunnel) {}), filter + strings.Split(rules, "\n")[0] + "\n"},
		"other SPIs":               {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Flows[0].LocalPort = 7 }), filter + fence},
		"a foreign interface":      {nil, func(o *Observed) { o.Links["wg1"] = Link{Name: "wg1", Kind: WireGuard} }, with(func(*Tunnel) {}), filter + other + rules + closed},
		"half made":                {nil, func(o *Observed) { o.Links[UnfinishedName] = Link{Name: UnfinishedName, Kind: WireGuard} }, nil, "delete linkseal.new (its making was interrupted)\n"},
		"transport": {nil, nil, with(func(g *Tunnel) {
			*g = Tunnel{Name: "host", Device: "eth1", Must: true, Transport: true, Known: true, Protect: []netip.Prefix{netip.MustParsePrefix("10.9.0.6/32")}, Remotes: g.Remotes}
		}), "filter eth1: nothing from or to 10.9.0.6/32 may pass but tunnels\nfence: nothing to 10.9.0.6/32 leaves by an interface other than eth1\n"},
		"charon's tun, not known": {nil, func(o *Observed) {
			o.Links["ipsec0"] = Link{Name: "ipsec0", Kind: TUN, Alias: "linkseal:hub1.0", Up: true}
			o.MSS["ipsec0"], o.MSS["wg9"] = 1350, 1350
		}, with(func(g *Tunnel) { g.Link, g.Known, g.Members, g.Live = NoLink, false, nil, nil }), filter + strings.Replace(fence, "wg1", "ipsec0", 1) + rules + closed + "clamp MSS through wg9 no more\n"},
		"charon's tun, told of under another name": {nil, func(o *Observed) {
			o.Links["ipsec0"] = Link{Name: "ipsec0", Kind: TUN, Alias: "linkseal:hub1.0", Up: true}
		}, with(func(g *Tunnel) { g.Link, g.Members, g.Live = NoLink, []Member{{Interface: "wg1"}}, nil }), filter + strings.Replace(fence, "eth1, wg1", "eth1, ipsec0, wg1", 1) + rules + closed},
		"a tun of WireGuard, which is IPsec now": {nil, func(o *Observed) {
			o.Links["wg1"] = Link{Name: "wg1", Kind: TUN, Alias: "linkseal:hub1.0", Up: true}
		}, with(func(g *Tunnel) { g.Link, g.Members, g.Live = NoLink, nil, nil }), filter + other + rules + closed + "delete wg1 (tunnel hub1 has no member 0)\n"},
		"SPIs, not known": {with(func(g *Tunnel) { g.Flows = esp(0x1111, 0x2222) }), nil, with(func(g *Tunnel) { g.Known, g.Flows = false, esp() }), ""},
		"SPIs, none":      {with(func(g *Tunnel) { g.Flows = esp(0x1111, 0x2222) }), nil, with(func(g *Tunnel) { g.Flows = esp() }), filter},
		"a probe":         {with(func(*Tunnel) {}), nil, with(func(g *Tunnel) { g.Probe = netip.MustParseAddr("169.254.21.1") }), "route unreachable 169.254.21.1/32\nroute 169.254.21.1/32 by wg1\nroute 169.254.21.1/32 by wg1, metric 200\n"},
	} {
		o := builtTunnels(t, c.have...)
		if c.seen != nil {
			c.seen(o)
		}
		if d := cmp.Diff(c.step, lines(Build(Desired{Tunnels: c.want}, *o))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestCheckTunnel(t *testing.T) {
	foreign := Link{Name: "wg1", Kind: WireGuard, Alias: "mine"}
	for name, c := range map[string]struct {
		change func(*Tunnel)
		o      Observed
		want   string
	}{
		"none":            {func(*Tunnel) {}, machine(eth1()), ""},
		"no device":       {func(*Tunnel) {}, machine(), "tunnel hub1: device eth1 does not exist; linkseal goes on when it appears; `ip link` lists the devices that there are"},
		"no Ethernet":     {func(*Tunnel) {}, machine(Link{Name: "eth1"}), "tunnel hub1: device eth1 has no Ethernet address, and what is protected cannot be kept off it; name an Ethernet device, or secure: should"},
		"should has none": {func(g *Tunnel) { g.Must = false }, machine(Link{Name: "eth1"}), ""},
		"foreign":         {func(*Tunnel) {}, machine(eth1(), foreign), "tunnel hub1: interface wg1 exists and was not made by linkseal; ip link delete wg1 if nobody needs it, or give the tunnel another interface name"},
		"charon's":        {func(g *Tunnel) { g.Link = NoLink }, machine(eth1(), foreign), ""},
		"lack":            {func(g *Tunnel) { g.Lack = &Lack{"no tun", "load tun"} }, machine(eth1()), "tunnel hub1: no tun; load tun"},
	} {
		g := hub1()
		c.change(&g)
		var got string
		for _, p := range Check(Desired{Tunnels: []Tunnel{g}}, c.o) {
			got += p.Error()
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	d := Desired{Ports: []Port{link1()}, Tunnels: []Tunnel{hub1()}}
	if got := Check(d, machine(eth1())); len(got) != 1 || got[0].Tunnel != "hub1" || !strings.Contains(got[0].Error(), "device eth1 is that of must-secure port link1; name the port's interface, macsec1") {
		t.Errorf("%v", got)
	}
	d.Tunnels[0].Device = "macsec1"
	if got := Check(d, machine(eth1())); len(got) != 0 {
		t.Errorf("on the interface that the port is to make: %v", got)
	}
}

func TestClearRoutes(t *testing.T) {
	p := netip.MustParsePrefix
	g := hub1()
	in := func(table int, prefix string, devices ...string) OtherRoute {
		return OtherRoute{Table: table, Prefix: p(prefix), Devices: devices}
	}
	rule := func(priority uint32, table int) OtherRule {
		return OtherRule{Family: IPv4, Priority: priority, Table: table}
	}
	const clear = "; it leaves in clear"
	const second = ": a second way to there; what the other end sends may come in clear"
	for name, c := range map[string]struct {
		e    Elsewhere
		want []string
	}{
		"none":                  {Elsewhere{}, nil},
		"less specific":         {Elsewhere{Routes: []OtherRoute{in(254, "10.0.0.0/8", "eth1"), in(254, "0.0.0.0/0", "eth1")}}, nil},
		"disjoint":              {Elsewhere{Routes: []OtherRoute{in(254, "10.21.0.0/16", "eth1")}}, nil},
		"equal":                 {Elsewhere{Routes: []OtherRoute{in(254, "10.20.0.0/16", "eth1")}}, []string{"10.20.0.0/16 of protected 10.20.0.0/16 by eth1" + second}},
		"more specific":         {Elsewhere{Routes: []OtherRoute{in(254, "10.20.3.0/24", "eth1", "eth2")}}, []string{"10.20.3.0/24 of protected 10.20.0.0/16 by eth1, eth2" + second}},
		"into the tunnel":       {Elsewhere{Routes: []OtherRoute{in(254, "10.20.3.0/24", "wg1")}}, nil},
		"nobody looks there":    {Elsewhere{Routes: []OtherRoute{in(77, "10.20.3.0/24", "eth1")}}, nil},
		"looked at after":       {Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(5211, 77)}}, nil},
		"looked at before":      {Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(100, 77)}}, []string{"0.0.0.0/0 of protected 10.20.0.0/16 by eth1: rule 100 has table 77 looked up before linkseal's" + clear}},
		"of the other family":   {Elsewhere{Routes: []OtherRoute{in(77, "::/0", "eth1")}, Rules: []OtherRule{{Family: IPv6, Priority: 100, Table: 77}}}, nil},
		"the local table":       {Elsewhere{Routes: []OtherRoute{in(255, "10.20.3.0/24", "eth1")}, Rules: []OtherRule{rule(0, 255)}}, nil},
		"main before it":        {Elsewhere{Routes: []OtherRoute{in(254, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(5209, 254)}}, []string{"0.0.0.0/0 of protected 10.20.0.0/16 by eth1: rule 5209 has table 254 looked up before linkseal's" + clear}},
		"with ours, before it":  {Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(5210, 77), rule(5210, 19539)}}, []string{"0.0.0.0/0 of protected 10.20.0.0/16 by eth1: rule 5210 has table 77 looked up before linkseal's" + clear}},
		"with ours, after it":   {Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(5210, 19539), rule(5210, 77)}}, nil},
		"goto past it":          {Elsewhere{Rules: []OtherRule{{Family: IPv4, Priority: 80, Goto: 32766}}}, []string{"protected 10.20.0.0/16: rule 80 goes on at rule 32766 and leaves out linkseal's, 5210" + clear}},
		"goto before it":        {Elsewhere{Rules: []OtherRule{{Family: IPv4, Priority: 80, Goto: 5210}}}, nil},
		"goto behind it":        {Elsewhere{Rules: []OtherRule{{Family: IPv4, Priority: 5300, Goto: 32766}}}, nil},
		"goto of IPv6":          {Elsewhere{Rules: []OtherRule{{Family: IPv6, Priority: 80, Goto: 32766}}}, nil},
		"a VRF's":               {Elsewhere{Routes: []OtherRoute{in(78, "0.0.0.0/0", "eth2"), in(77, "10.0.0.0/8", "eth3")}, Rules: []OtherRule{{Family: IPv4, Priority: 1000, L3: true}}, VRFs: []int{78}}, []string{"0.0.0.0/0 of protected 10.20.0.0/16 by eth2: rule 1000 (l3mdev) has table 78, of a VRF, looked up before linkseal's" + clear}},
		"a VRF's, behind it":    {Elsewhere{Routes: []OtherRoute{in(78, "0.0.0.0/0", "eth2")}, Rules: []OtherRule{{Family: IPv4, Priority: 32765, L3: true}}, VRFs: []int{78}}, nil},
		"dropped, or nothing":   {Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(100, 0)}}, nil},
		"with a nexthop object": {Elsewhere{Routes: []OtherRoute{in(254, "10.20.0.0/16")}}, []string{"10.20.0.0/16 of protected 10.20.0.0/16 by an unknown interface" + second}},
	} {
		var got []string
		for _, r := range ClearRoutes(Desired{Tunnels: []Tunnel{g}}, c.e, nil) {
			got = append(got, r.String())
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	for fence, want := range map[string]string{"10.16.0.0/12": "; the fence holds it back: it is dropped, and not sent in clear", "10.20.0.0/17": clear} {
		f := &Fence{Protect: []netip.Prefix{p("10.1.0.0/16"), p(fence)}}
		e := Elsewhere{Routes: []OtherRoute{in(77, "0.0.0.0/0", "eth1")}, Rules: []OtherRule{rule(100, 77), {Family: IPv4, Priority: 101, Goto: 32766}}}
		got := ClearRoutes(Desired{Tunnels: []Tunnel{g}}, e, f)
		if len(got) != 2 || !strings.HasSuffix(got[0].Why, want) || !strings.HasSuffix(got[1].Why, want) {
			t.Errorf("with a fence around %s: %v", fence, got)
		}
	}
	g.Transport = true
	if got := ClearRoutes(Desired{Tunnels: []Tunnel{g}}, Elsewhere{Routes: []OtherRoute{in(254, "10.20.0.0/16", "eth1")}}, nil); got != nil {
		t.Errorf("of transport mode: %v", got)
	}
}

func TestAstray(t *testing.T) {
	in := func(prefix string, devices ...string) OtherRoute {
		return OtherRoute{Table: 254, Prefix: netip.MustParsePrefix(prefix), Devices: devices}
	}
	const astray = "10.20.0.5 is routed by eth2, not by device eth1: its filter is on eth1 alone"
	for name, c := range map[string]struct {
		routes []OtherRoute
		must   bool
		want   string
	}{
		"none":                   {nil, true, ""},
		"by its device":          {[]OtherRoute{in("0.0.0.0/0", "eth1")}, true, ""},
		"by another":             {[]OtherRoute{in("0.0.0.0/0", "eth2")}, true, astray},
		"the longer one counts":  {[]OtherRoute{in("10.20.0.0/16", "eth2"), in("0.0.0.0/0", "eth1")}, true, astray},
		"the longer one is good": {[]OtherRoute{in("0.0.0.0/0", "eth2"), in("10.20.0.4/31", "eth1")}, true, ""},
		"one of several":         {[]OtherRoute{in("0.0.0.0/0", "eth2"), in("0.0.0.0/0", "eth1")}, true, ""},
		"not known":              {[]OtherRoute{in("0.0.0.0/0")}, true, ""},
		"should":                 {[]OtherRoute{in("0.0.0.0/0", "eth2")}, false, ""},
	} {
		g := hub1()
		g.Must = c.must
		if got := Astray(Desired{Tunnels: []Tunnel{g}}, Elsewhere{Routes: c.routes})["hub1"]; got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestTunnelStepJSON(t *testing.T) {
	g := hub1()
	g.Link, g.Members[0].IfID = XFRM, 7
	var got []string
	for _, s := range Build(Desired{Tunnels: []Tunnel{g}}, machine(eth1())) {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	want := []string{
		`{"step":"set-underlay","device":"eth1","filter":{"eapol_destination":"01:80:c2:00:00:03","eapol_ethertype":34958,"count_only":true,"underlay":{"protect":["10.20.0.0/16"]}},"text":"filter eth1: nothing from or to 10.20.0.0/16 may pass but tunnels"}`,
		`{"step":"set-fence","fence":{"protect":["10.20.0.0/16"],"pass":["eth1","wg1"],"remotes":["10.20.0.5"],"ports":[51820]},"text":"fence: nothing to 10.20.0.0/16 leaves by an interface other than eth1, wg1"}`,
		`{"step":"set-rule","family":"ipv4","text":"add ipv4 rule: 5210, look up table 19539"}`,
		`{"step":"set-rule","family":"ipv6","text":"add ipv6 rule: 5210, look up table 19539"}`,
		`{"step":"set-route","tunnel":"hub1","route":{"prefix":"10.20.0.5/32","type":"throw","metric":1},"text":"route throw 10.20.0.5/32"}`,
		`{"step":"set-route","tunnel":"hub1","route":{"prefix":"10.20.0.0/16","type":"unreachable","metric":4294967295},"text":"route unreachable 10.20.0.0/16"}`,
		`{"step":"set-route","tunnel":"hub1","route":{"prefix":"169.254.21.0/30","type":"unreachable","metric":4294967295},"text":"route unreachable 169.254.21.0/30"}`,
		`{"step":"create-tunnel","tunnel":"hub1","interface":"wg1","device":"eth1","kind":"xfrm","if_id":"0x00000007","text":"create wg1: XFRM interface on eth1, if_id 0x00000007"}`,
		`{"step":"set-mtu","tunnel":"hub1","interface":"wg1","mtu":1400,"text":"set wg1 mtu 1400"}`,
		`{"step":"add-address","tunnel":"hub1","interface":"wg1","address":"169.254.21.2/30","no_prefix_route":true,"text":"add address 169.254.21.2/30 to wg1, without a route"}`,
		`{"step":"set-mss","tunnel":"hub1","interface":"wg1","mss":1350,"text":"clamp MSS through wg1 to 1350"}`,
		`{"step":"set-up","tunnel":"hub1","interface":"wg1","text":"set wg1 up"}`,
		`{"step":"set-route","tunnel":"hub1","route":{"prefix":"10.20.0.0/16","type":"unicast","metric":100,"interfaces":["wg1"]},"text":"route 10.20.0.0/16 by wg1"}`,
		`{"step":"set-route","tunnel":"hub1","route":{"prefix":"169.254.21.0/30","type":"unicast","metric":100,"interfaces":["wg1"]},"text":"route 169.254.21.0/30 by wg1"}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestChooseTunnel(t *testing.T) {
	all := Capabilities{}
	none := Capabilities{NoWireGuard: "a", NoESP: "b", NoXFRM: "c", NoTap: "d"}
	user := Capabilities{NoWireGuard: "a", NoESP: "b", NoXFRM: "c"}
	for _, c := range []struct {
		name               string
		can                Capabilities
		asked              Dataplane
		kind               LinkKind
		transport, several bool
		want               Dataplane
		reason, lack       string
	}{
		{"the kernel's WireGuard", all, Auto, WireGuard, false, true, Kernel, "auto: the kernel has WireGuard", ""},
		{"embedded", user, Auto, WireGuard, false, true, Userspace, "auto: the kernel has no WireGuard (a)", ""},
		{"neither", none, Auto, WireGuard, false, false, Userspace, "auto: the kernel has no WireGuard (a)", "dataplane auto: the kernel has no WireGuard (a), and there is no tun device (d)"},
		{"asked, and not there", user, Kernel, WireGuard, false, false, Kernel, "configured", "dataplane kernel: the kernel has no WireGuard (a)"},
		{"the kernel's ESP", all, Auto, XFRM, false, true, Kernel, "auto: the kernel has ESP", ""},
		{"charon's", user, Auto, XFRM, false, false, Userspace, "auto: the kernel has no ESP (b)", ""},
		{"charon's, of several", user, Auto, XFRM, false, true, Userspace, "auto: the kernel has no ESP (b)", "dataplane auto: the kernel has no ESP (b), and IPsec in user space has one member: charon has one tun"},
		{"transport needs no interface", Capabilities{NoXFRM: "c"}, Auto, XFRM, true, false, Kernel, "auto: the kernel has ESP", ""},
		{"tunnel mode does", Capabilities{NoXFRM: "c"}, Auto, XFRM, false, false, Userspace, "auto: the kernel has no XFRM interfaces (c)", ""},
		{"transport in user space", user, Userspace, XFRM, true, false, Userspace, "configured", "dataplane userspace: IPsec in user space has tunnel mode only"},
	} {
		got := c.can.ChooseTunnel(c.asked, c.kind, c.transport, c.several)
		lack := ""
		if got.Lack != nil {
			lack = got.Lack.Cause
			if got.Lack.Remedy == "" {
				t.Errorf("%s: no remedy", c.name)
			}
		}
		if got.Dataplane != c.want || got.Reason != c.reason || lack != c.lack {
			t.Errorf("%s: %+v, lack %q", c.name, got, lack)
		}
	}
}

// What the tunnels of one underlay protect does not go by another either.
func TestUnderlaysOfTwo(t *testing.T) {
	tunnel := func(name, device, protect string, must bool) Tunnel {
		return Tunnel{Name: name, Device: device, Must: must, Protect: []netip.Prefix{netip.MustParsePrefix(protect)},
			Flows: []Flow{{Protocol: WireGuard, Local: netip.MustParseAddr("10.0.0.4"), LocalPort: 51820, Roams: true}}}
	}
	d := Desired{Tunnels: []Tunnel{tunnel("a", "eth1", "10.20.0.0/16", true), tunnel("b", "eth2", "10.30.0.0/16", true), tunnel("c", "eth3", "10.40.0.0/16", false)}}
	for _, device := range []string{"eth1", "eth2"} {
		f, wanted := d.Filter(device)
		if !wanted || len(f.Underlay.Flows) != 1 || fmt.Sprint(f.Underlay.Protect) != "[10.20.0.0/16 10.30.0.0/16]" {
			t.Errorf("%s: %+v, %v", device, f.Underlay, wanted)
		}
	}
	if f, wanted := d.Filter("eth3"); wanted {
		t.Errorf("eth3: %+v", f)
	}
}
