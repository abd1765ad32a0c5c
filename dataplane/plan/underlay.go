package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Flow is what carries a tunnel between its ends, both directions.
type Flow struct {
	Protocol              LinkKind // WireGuard, or XFRM: ESP and IKE
	Local, Remote         netip.Addr
	LocalPort, RemotePort uint16 // of WireGuard
	// Roams: of WireGuard; Remote and RemotePort, which are zero, may be any.
	Roams bool
	// SPIs of ESP that are counted by themselves; others pass too.
	SPIIn, SPIOut []uint32
}

// compare tells flows apart that count or pass apart.
func (f Flow) compare(o Flow) int {
	roams := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(string(f.Protocol), string(o.Protocol)), f.Local.Compare(o.Local), cmp.Compare(f.LocalPort, o.LocalPort),
		f.Remote.Compare(o.Remote), cmp.Compare(f.RemotePort, o.RemotePort), cmp.Compare(roams(f.Roams), roams(o.Roams)),
		slices.Compare(f.SPIIn, o.SPIIn), slices.Compare(f.SPIOut, o.SPIOut))
}

func (f Flow) String() string {
	switch {
	case f.Protocol == XFRM:
		return fmt.Sprintf("ipsec %s to %s spi %08x %08x", f.Local, f.Remote, f.SPIIn, f.SPIOut)
	case f.Roams:
		return fmt.Sprintf("wireguard %s to any", netip.AddrPortFrom(f.Local, f.LocalPort))
	}
	return fmt.Sprintf("wireguard %s to %s", netip.AddrPortFrom(f.Local, f.LocalPort), netip.AddrPortFrom(f.Remote, f.RemotePort))
}

// Underlay says what may be in clear on a device under tunnels: what is neither
// from nor to a protected prefix. The tunnels' own flows pass.
type Underlay struct {
	Protect []netip.Prefix `json:"protect"`
	Flows   []Flow         `json:"-"`
}

func (u *Underlay) String() string {
	var names []string
	for i, p := range u.Protect {
		if i == 3 {
			names = append(names, fmt.Sprintf("%d more", len(u.Protect)-i))
			break
		}
		names = append(names, p.String())
	}
	return "nothing from or to " + strings.Join(names, ", ") + " may pass but tunnels"
}

// equal compares, order and repetitions aside.
func (u *Underlay) equal(o *Underlay) bool {
	if u == nil || o == nil {
		return u == o
	}
	return slices.Equal(sortedPrefixes(u.Protect), sortedPrefixes(o.Protect)) && slices.EqualFunc(sortedFlows(u.Flows), sortedFlows(o.Flows), func(a, b Flow) bool { return a.compare(b) == 0 })
}

func sortedPrefixes(list []netip.Prefix) []netip.Prefix {
	s := slices.Clone(list)
	slices.SortFunc(s, comparePrefix)
	return slices.Compact(s)
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

func sortedFlows(list []Flow) []Flow {
	s := slices.Clone(list)
	slices.SortFunc(s, Flow.compare)
	return slices.CompactFunc(s, func(a, b Flow) bool { return a.compare(b) == 0 })
}

// noPort is the EAPOL of a device that has no port: nothing goes by it,
// since what is not protected passes.
var noPort = Filter{EAPOLDestination: MAC{0x01, 0x80, 0xc2, 0, 0, 0x03}, EAPOLEtherType: 0x888e, CountOnly: true}

// Filter is what device is to have for d; false if nothing.
func (d Desired) Filter(device string) (f Filter, wanted bool) {
	for _, p := range d.Ports {
		if p.Device != device {
			continue
		}
		f, wanted = p.Filter, true
		if f.CountOnly = !p.Must; p.Must {
			return f, true // Check refuses a tunnel on it
		}
	}
	var u *Underlay
	for _, t := range d.Tunnels {
		if t.Device != device || !t.Must {
			continue
		}
		if u == nil {
			u = &Underlay{}
		}
		u.Flows = append(u.Flows, t.Flows...)
	}
	if u == nil {
		return f, wanted
	}
	// What another device's tunnels protect may not go by this one either: the
	// fence leaves an underlay to its filter.
	for _, t := range d.Tunnels {
		if t.Must {
			u.Protect = append(u.Protect, t.Protect...)
		}
	}
	if !wanted {
		f = noPort
	}
	u.Protect, u.Flows = sortedPrefixes(u.Protect), sortedFlows(u.Flows)
	f.Underlay = u
	return f, true
}

// Underlays are the devices of must-secure tunnels, sorted.
func (d Desired) Underlays() []string {
	all := make(map[string]bool)
	for _, t := range d.Tunnels {
		if t.Must {
			all[t.Device] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// underlay enforces what tunnels protect on device. What is protected no more
// stays so until it is not routed any more: see narrow.
func (b *builder) underlay(desired Desired, device string) {
	want, _ := desired.Filter(device)
	have, filtered := b.Filters[device]
	if want.Underlay == nil || filtered && have.Equal(want) {
		return
	}
	if have.Underlay != nil {
		u := *want.Underlay
		u.Protect = sortedPrefixes(append(slices.Clone(u.Protect), have.Underlay.Protect...))
		want.Underlay = &u
	}
	why := ""
	if _, unreadable := b.Unreadable[device]; unreadable {
		why = "it is not known what filter it has"
	}
	b.add(Step{Kind: SetUnderlay, Device: device, Filter: &want, Why: why})
	b.wide[device] = want
}

// narrow takes off what was kept protected meanwhile.
func (b *builder) narrow(desired Desired) {
	for _, device := range slices.Sorted(maps.Keys(b.wide)) {
		if want, _ := desired.Filter(device); !b.wide[device].Equal(want) {
			b.add(Step{Kind: SetUnderlay, Device: device, Filter: &want, Why: "it is protected no more"})
		}
	}
}

// withSPIs gives tunnels that are not known the SPIs that are counted already:
// nobody knows better yet.
func withSPIs(d Desired, o Observed) Desired {
	d.Tunnels = slices.Clone(d.Tunnels)
	for i, t := range d.Tunnels {
		have := o.Filters[t.Device].Underlay
		if t.Known || have == nil {
			continue
		}
		flows := slices.Clone(t.Flows)
		for j, f := range flows {
			at := slices.IndexFunc(have.Flows, func(h Flow) bool {
				h.SPIIn, h.SPIOut = f.SPIIn, f.SPIOut
				return f.Protocol == XFRM && len(f.SPIIn)+len(f.SPIOut) == 0 && h.compare(f) == 0
			})
			if at >= 0 {
				flows[j] = have.Flows[at]
			}
		}
		d.Tunnels[i].Flows = flows
	}
	return d
}
