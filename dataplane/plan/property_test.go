package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// apply carries s out on a model of the machine. It refuses what a kernel
// refuses, and what Step's contract forbids.
func apply(o *Observed, s Step) error {
	link, present := o.Links[s.Link]
	need := func(ok bool, what string) error {
		if !ok {
			return fmt.Errorf("%s: %s", s, what)
		}
		return nil
	}
	if handled, err := applyTunnel(o, s); handled {
		return err
	}
	switch s.Kind {
	case SetFilter, CountFrames, SetUnderlay:
		_, device := o.Links[s.Device]
		o.Filters[s.Device] = *s.Filter
		return need(device, "no such device")
	case RemoveFilter:
		_, there := o.Filters[s.Device]
		delete(o.Filters, s.Device)
		return need(there, "no filter")
	case CreateDevice:
		parent, ok := o.Links[s.Device]
		if present || !ok || !parent.Up {
			return fmt.Errorf("%s: interface %v, parent %v, up %v", s, present, ok, parent.Up)
		}
		for _, l := range o.Links {
			if l.Parent == s.Device && l.MACsec != nil && l.MACsec.SCI == s.MACsec.SCI {
				return fmt.Errorf("%s: SCI in use by %s", s, l.Name)
			}
		}
		if s.Dataplane == Userspace {
			o.Links[s.Link] = Link{Name: s.Link, Alias: Alias(s.Port), MTU: TapMTU, MAC: parent.MAC, IPv6: true, Tap: true}
			return nil
		}
		m := *s.MACsec
		o.Links[s.Link] = Link{Name: s.Link, Alias: Alias(s.Port), Parent: s.Device,
			MTU: parent.MTU - Overhead, MAC: parent.MAC, IPv6: true, MACsec: &m}
		return nil
	case DeleteDevice:
		o.unplug(s.Link)
		return need(present && (link.secY() || link.Kind.tunnel()), "no such device of linkseal")
	}
	if !present {
		return fmt.Errorf("%s: no such link", s)
	}
	var err error
	switch s.Kind {
	case RemoveAddress:
		err = need(slices.Contains(link.Addresses, s.Address), "no such address")
		link.Addresses = slices.DeleteFunc(slices.Clone(link.Addresses), func(a netip.Prefix) bool { return a == s.Address })
		link.NoPrefixRoute = slices.DeleteFunc(slices.Clone(link.NoPrefixRoute), func(a netip.Prefix) bool { return a == s.Address })
	case AddAddress:
		err = need(!slices.Contains(link.Addresses, s.Address), "address exists")
		link.Addresses = append(slices.Clone(link.Addresses), s.Address)
		if s.NoPrefixRoute {
			link.NoPrefixRoute = append(slices.Clone(link.NoPrefixRoute), s.Address)
		}
	case EnableIPv6:
		link.IPv6 = true
	case DisableIPv6:
		link.IPv6 = false
		link.Addresses = slices.DeleteFunc(slices.Clone(link.Addresses), func(a netip.Prefix) bool { return a.Addr().Is6() })
	case SetMAC:
		err = need(link.Tap, "not a tap")
		link.MAC = s.MAC
	case ChangeDevice:
		if link.MACsec == nil {
			return fmt.Errorf("%s: not a MACsec device", s)
		}
		m := *s.MACsec
		fixed := link.MACsec.SCI == m.SCI && link.MACsec.Suite == m.Suite
		err = need(fixed, "changes what a live device cannot")
		link.MACsec = &m
	case SetTags:
		err = need(link.secY(), "not a port's device")
		link.Tags, link.TagsTorn = s.Tags, false
	case RemoveTags:
		err = need(link.Tags != nil || link.TagsTorn, "no tags")
		link.Tags, link.TagsTorn = nil, false
	case SetMTU:
		err = need(link.MACsec == nil || s.MTU <= o.Links[link.Parent].MTU-Overhead, "MTU too large")
		link.MTU = s.MTU
	case SetUp:
		link.Up = true
		if link.IPv6 && link.secY() {
			link.Addresses = append(slices.Clone(link.Addresses), netip.MustParsePrefix("fe80::2/64"))
		}
	default:
		err = fmt.Errorf("unknown kind %q", s.Kind)
	}
	o.Links[s.Link] = link
	return err
}

// leaks lists the ways in which a frame could pass device in clear.
func leaks(o *Observed, device string, want Filter) []string {
	var found []string
	parent := o.Links[device]
	filter, filtered := o.Filters[device]
	if parent.Up && !filtered {
		found = append(found, device+" up without filter")
	}
	if filtered && !filter.Equal(want) {
		found = append(found, device+" filter lets other things pass")
	}
	for _, l := range o.Links {
		if _, owned := l.port(); owned && l.MACsec != nil && l.Parent == device && l.Up && (!l.MACsec.Protect || l.MACsec.Validate != ValidateStrict) {
			found = append(found, l.Name+" up without protect and strict validation")
		}
	}
	return found
}

func genPort(t *rapid.T, i int) Port {
	name := func(prefix string) string { return fmt.Sprintf("%s%d", prefix, i) }
	p := Port{Name: name("link"), Device: name("eth"), Interface: name("macsec"), SCIPort: 1,
		Dataplane: rapid.SampledFrom([]Dataplane{Kernel, Userspace}).Draw(t, "dataplane"),
		Suite:     rapid.SampledFrom(sa.Suites()).Draw(t, "suite"), Encrypt: rapid.Bool().Draw(t, "encrypt"),
		SendSCI: rapid.Bool().Draw(t, "send sci"), Must: rapid.Bool().Draw(t, "must"),
		MTU: rapid.SampledFrom([]int{0, 1400, 1500}).Draw(t, "mtu"), Filter: pae}
	if rapid.Bool().Draw(t, "replay protection") {
		w := rapid.SampledFrom([]uint32{0, 64}).Draw(t, "window")
		p.ReplayWindow = &w
	}
	p.Addresses = rapid.SampledFrom([][]netip.Prefix{nil, {}, {netip.MustParsePrefix("192.0.2.1/30")},
		{netip.MustParsePrefix("2001:db8::1/64"), netip.MustParsePrefix("192.0.2.1/30")}}).Draw(t, "addresses")
	p.Filter.Allow = rapid.SampledFrom([][]string{nil, {"lldp"}, {"lldp", "lacp"}}).Draw(t, "allow")
	p.Tags = rapid.SampledFrom([]*Tags{nil, {}, {Rules: []TagRule{{Name: "a", DSCP: 46}}}, {Rules: []TagRule{{Name: "a", DSCP: 34}, {Name: "b"}}}}).Draw(t, "tags")
	if rapid.Bool().Draw(t, "other interface name") {
		p.Interface = name("sec")
	}
	return p
}

// genDesired draws up to three ports. Devices are sometimes exchanged between
// ports, so that two draws differ in where a port stands too.
func genDesired(t *rapid.T) (d Desired) {
	for i := range 3 {
		if rapid.Bool().Draw(t, "configured") {
			d.Ports = append(d.Ports, genPort(t, i))
		}
	}
	defer func() { d.Tunnels = genTunnels(t, d) }()
	if n := len(d.Ports); n > 1 && rapid.Bool().Draw(t, "exchange devices") {
		d.Ports[0].Device, d.Ports[n-1].Device = d.Ports[n-1].Device, d.Ports[0].Device
	}
	return d
}

// genMachine draws parents in any state.
func genMachine(t *rapid.T) Observed {
	o := machine()
	for i := range 3 {
		l := Link{Name: fmt.Sprintf("eth%d", i), MTU: rapid.SampledFrom([]int{1532, 9000}).Draw(t, "parent mtu"),
			MAC: MAC{2, 0, 0, 0, 0, byte(i)}, Up: rapid.Bool().Draw(t, "up"), IPv6: rapid.Bool().Draw(t, "ipv6")}
		if rapid.Bool().Draw(t, "parent has addresses") {
			l.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.4/24")}
			if l.IPv6 {
				l.Addresses = append(l.Addresses, netip.MustParsePrefix("fe80::5/64"))
			}
		}
		o.Links[l.Name] = l
	}
	if rapid.Bool().Draw(t, "a filter for a device that is gone") {
		o.Filters["eth9"] = pae
	}
	return o
}

// drift changes what somebody with ip(8) could change.
func drift(t *rapid.T, o *Observed) {
	for _, name := range slices.Sorted(maps.Keys(o.Links)) {
		l := o.Links[name]
		switch rapid.IntRange(0, 9).Draw(t, "drift of "+name) {
		case 0:
			if l.Up = !l.Up; !l.Up {
				o.unroute(name)
			}
		case 1:
			if a := netip.MustParsePrefix("203.0.113.9/24"); !slices.Contains(l.Addresses, a) {
				l.Addresses = append(slices.Clone(l.Addresses), a)
			}
		case 2:
			l.IPv6 = true
		case 3:
			if l.MACsec != nil {
				m := *l.MACsec
				m.Protect, m.Validate, m.Encrypt = false, ValidateCheck, !m.Encrypt
				l.MACsec = &m
			}
		case 4:
			if l.MACsec == nil && !l.Kind.tunnel() {
				l.MAC[4]++
			}
			if l.secY() || l.Kind.tunnel() {
				l.MTU = 1280
			}
		case 5:
			if l.secY() || l.Kind.tunnel() {
				o.unplug(name)
				continue
			}
			delete(o.Filters, name)
		case 6:
			if l.secY() {
				l.Tags = nil
			}
		case 7:
			l.TagsTorn = l.secY()
		case 8:
			driftRoutes(t, o)
		}
		o.Links[name] = l
	}
}

func must(d Desired, device string) *Port {
	for i, p := range d.Ports {
		if p.Device == device && p.Must {
			return &d.Ports[i]
		}
	}
	return nil
}

// step applies the plan from o to d, up to limit steps (< 0: all), and holds
// every prefix of it against the invariant.
func step(t *rapid.T, d Desired, o *Observed, limit int) {
	steps := Build(d, *o)
	if problems := Check(d, *o); len(problems) > 0 {
		t.Fatalf("no machine here should have a problem: %v", problems)
	}
	before := make(map[string]int)
	for _, p := range d.Ports {
		if p.Must {
			before[p.Device] = len(leaks(o, p.Device, p.Filter))
		}
	}
	open, filtered := tunnelLeaks(o, d), maps.Clone(o.Filters)
	enforced := false // all filters are in
	for i, s := range steps {
		if i == limit {
			return
		}
		enforced = enforced || s.Kind != SetFilter
		if enforced && s.Kind == SetFilter {
			t.Fatalf("a filter goes in after something else:\n%s", lines(steps))
		}
		leaves := func(s Step) bool { return s.Kind == RemoveFilter || s.Kind == CountFrames }
		if i > 0 && leaves(steps[i-1]) && !leaves(s) {
			t.Fatalf("something comes after a filter has left:\n%s", lines(steps))
		}
		if err := apply(o, s); err != nil {
			t.Fatalf("%v\nin\n%s", err, lines(steps))
		}
		for device, leaked := range before {
			p := must(d, device)
			now := leaks(o, device, p.Filter)
			if len(now) > leaked {
				t.Fatalf("after %q %v, and not before, in\n%s", s, now, lines(steps))
			}
			if _, filtered := o.Filters[device]; enforced && !filtered {
				t.Fatalf("after %q %s has no filter, in\n%s", s, device, lines(steps))
			}
			before[device] = len(now)
		}
		now := tunnelLeaks(o, d)
		for what := range now {
			if !open[what] {
				t.Fatalf("after %q %s, and not before, in\n%s", s, what, lines(steps))
			}
		}
		open = now
		if s.Kind == DeleteDevice {
			delete(filtered, s.Link) // it goes with its device
		}
		for device := range filtered {
			if _, still := o.Filters[device]; !still && s.Kind != RemoveFilter {
				t.Fatalf("after %q %s has lost its filter, in\n%s", s, device, lines(steps))
			}
		}
	}
	for device := range o.Links {
		if p := must(d, device); p != nil {
			if now := leaks(o, device, p.Filter); len(now) > 0 {
				t.Fatalf("applied in full: %v\n%s", now, lines(steps))
			}
		}
	}
	if now := tunnelLeaks(o, d); len(now) > 0 {
		t.Fatalf("applied in full: %v\n%s", now, lines(steps))
	}
	if again := Build(d, *o); len(again) > 0 {
		t.Fatalf("the second plan is not empty:\n%sthe first was:\n%s", lines(again), lines(steps))
	}
}

// From any start, through changes of the configuration, crashes in the middle
// of a plan and drift: a plan applied leaves nothing to do, and no step opens
// a way for a clear frame on a must-secure port.
func TestProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMachine(t)
		o := &m
		for range rapid.IntRange(1, 3).Draw(t, "configurations") {
			d := genDesired(t)
			step(t, d, o, rapid.IntRange(0, 12).Draw(t, "steps before the crash"))
			step(t, d, o, -1)
			drift(t, o)
			step(t, d, o, -1)
		}
	})
}
