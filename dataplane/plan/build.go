package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Build returns the steps from observed to desired, in the order in which
// they are to be applied; none if nothing is to be done. A port that has a
// Problem (see Check) gets the steps that are possible: a must-secure port's
// parent is filtered and bare whatever else is wrong.
//
// Interface names are unique over desired, and devices over its ports.
func Build(desired Desired, observed Observed) []Step {
	desired = withSPIs(desired, observed)
	b := builder{Observed: observed, gone: make(map[string]bool), made: make(map[string]bool), up: make(map[string]bool), wide: make(map[string]Filter)}
	b.Filters = maps.Clone(observed.Filters)
	for _, p := range desired.Ports {
		b.enforce(p)
	}
	for _, device := range desired.Underlays() {
		if _, present := observed.Links[device]; present {
			b.underlay(desired, device)
		}
	}
	blocked := make(map[string]bool)
	problems := Check(desired, observed)
	for _, problem := range problems {
		blocked[problem.Owner()] = true
	}
	deletions := b.deletions(desired, blocked)
	fence := b.wantFence(desired, problems, blocked)
	b.fence(fence)
	b.route(desired, blocked)
	b.close()
	for _, p := range desired.Ports {
		b.bare(p)
	}
	b.retreat()
	b.steps = append(b.steps, deletions...)
	for _, p := range desired.Ports {
		if _, present := observed.Links[p.Device]; present && !blocked[p.Name] {
			b.device(desired, p)
		}
	}
	b.tunnels(desired, blocked)
	b.advance(desired)
	b.leave(desired)
	b.unfence(fence)
	b.narrow(desired)
	b.release(desired)
	return b.steps
}

type builder struct {
	Observed
	routing
	steps []Step
	gone  map[string]bool   // links that a step deletes
	made  map[string]bool   // devices of ports that a step makes
	up    map[string]bool   // interfaces of tunnels that are up when steps are done
	wide  map[string]Filter // what underlays have until narrow
}

func (b *builder) add(s Step) { b.steps = append(b.steps, s) }

// enforce filters the parent of a must-secure port.
func (b *builder) enforce(p Port) {
	if _, present := b.Links[p.Device]; !p.Must || !present {
		return
	}
	why := ""
	if _, unreadable := b.Unreadable[p.Device]; unreadable {
		why = "it is not known what filter it has"
	}
	if have, ok := b.Filters[p.Device]; !ok || !have.Equal(p.Filter) {
		b.add(Step{Kind: SetFilter, Port: p.Name, Device: p.Device, Filter: &p.Filter, Why: why})
	}
}

// bare takes addresses and IPv6 off the parent of a must-secure port.
func (b *builder) bare(p Port) {
	parent, present := b.Links[p.Device]
	if !p.Must || !present {
		return
	}
	const why = "the parent of a must-secure port has none"
	for _, a := range parent.Addresses {
		b.add(Step{Kind: RemoveAddress, Port: p.Name, Link: p.Device, Address: a, Why: why})
	}
	if parent.IPv6 {
		b.add(Step{Kind: DisableIPv6, Port: p.Name, Link: p.Device, Why: why})
	}
}

// deletions delete linkseal's devices that no port and no tunnel wants as they
// are. What a blocked one has it keeps: it could not be made again.
func (b *builder) deletions(desired Desired, blocked map[string]bool) (steps []Step) {
	ports, tunnels := make(map[string]Port), make(map[string]Tunnel)
	for _, p := range desired.Ports {
		ports[p.Name] = p
	}
	for _, t := range desired.Tunnels {
		tunnels[t.Name] = t
	}
	for _, name := range slices.Sorted(maps.Keys(b.Links)) {
		link := b.Links[name]
		why, port, tunnel := "", "", ""
		if owner, owned := link.port(); owned {
			p, configured := ports[owner]
			switch {
			case !configured:
				why = fmt.Sprintf("port %s is not in the configuration", owner)
			case blocked[owner]:
			case p.Interface != name:
				why, port = fmt.Sprintf("port %s now has interface %s", owner, p.Interface), owner
			default:
				why, port = b.unchangeable(p, link), owner
			}
		} else if owner, n, owned := link.member(); owned {
			why, tunnel = strayMember(link, n, owner, tunnels, blocked)
		} else if link.unfinished() {
			why = "its making was interrupted"
		}
		if why != "" {
			b.gone[name] = true
			steps = append(steps, Step{Kind: DeleteDevice, Port: port, Tunnel: tunnel, Link: name, Device: link.Parent, Why: why})
		}
	}
	return steps
}

// unchangeable says why link, port p's own, cannot become what p wants while
// it lives; "" if it can.
func (b *builder) unchangeable(p Port, link Link) string {
	const live = "which a live device cannot: made anew"
	if have := link.dataplane(); have != p.dataplane() {
		return fmt.Sprintf("dataplane changes from %s to %s, %s", have, p.dataplane(), live)
	}
	if link.Tap {
		return "" // parent, cipher and SCI are its SecY's
	}
	if link.Parent != p.Device {
		return fmt.Sprintf("it stands on %s, port %s now on %s", link.Parent, p.Name, p.Device)
	}
	if have := link.MACsec.Suite; have != p.Suite {
		return fmt.Sprintf("cipher changes from %s to %s, %s", have, p.Suite, live)
	}
	want := b.sci(p)
	if have := link.MACsec.SCI; have != want {
		return fmt.Sprintf("SCI changes from %s to %s, %s", have, want, live)
	}
	return ""
}

func (b *builder) sci(p Port) sa.SCI { return sa.NewSCI(b.Links[p.Device].MAC, p.SCIPort) }

// device makes p's device what it should be.
func (b *builder) device(desired Desired, p Port) {
	link, live := b.Links[p.Interface]
	live = live && !b.gone[p.Interface]
	want := MACsec{SCI: b.sci(p), Suite: p.Suite, Encrypt: p.Encrypt, SendSCI: p.SendSCI,
		ReplayWindow: p.ReplayWindow, Protect: true, Validate: ValidateStrict}
	if live && !link.Tap {
		if !p.Must {
			// The Controlled Port's, which the SecY moves.
			want.Protect, want.Validate = link.MACsec.Protect, link.MACsec.Validate
		}
		if !link.MACsec.equal(want) {
			b.add(Step{Kind: ChangeDevice, Port: p.Name, Link: p.Interface, Device: p.Device, MACsec: &want, Why: link.MACsec.difference(want)})
		}
	}
	parent := b.Links[p.Device]
	if !parent.Up {
		b.add(Step{Kind: SetUp, Port: p.Name, Link: p.Device})
	}
	if !live {
		b.add(Step{Kind: CreateDevice, Port: p.Name, Link: p.Interface, Device: p.Device, Dataplane: p.dataplane(), MACsec: &want})
		// As the kernel makes it: the parent's MTU less the overhead.
		link = Link{Name: p.Interface, MTU: parent.MTU - Overhead}
		if p.dataplane() == Userspace {
			link = Link{Name: p.Interface, MTU: TapMTU, MAC: parent.MAC, Tap: true}
		}
	}
	if link.Tap && link.MAC != parent.MAC {
		b.add(Step{Kind: SetMAC, Port: p.Name, Link: p.Interface, MAC: parent.MAC, Why: "that of " + p.Device})
	}
	if want := p.mtu(parent); link.MTU != want {
		b.add(Step{Kind: SetMTU, Port: p.Name, Link: p.Interface, MTU: want})
	}
	b.addresses(p, link)
	b.tag(p, link)
	if !live {
		b.made[p.Interface] = true
		// A filter goes with its device.
		delete(b.Filters, p.Interface)
		b.underlay(desired, p.Interface)
	}
	if !link.Up {
		b.add(Step{Kind: SetUp, Port: p.Name, Link: p.Interface})
	}
}

func (p Port) mtu(parent Link) int {
	if p.MTU == 0 {
		return parent.MTU - Overhead
	}
	return p.MTU
}

func (b *builder) addresses(p Port, link Link) {
	if p.Addresses == nil {
		return
	}
	for _, a := range link.Addresses {
		if !slices.Contains(p.Addresses, a) && !kernelMade(a) {
			b.add(Step{Kind: RemoveAddress, Port: p.Name, Link: p.Interface, Address: a})
		}
	}
	for _, a := range p.Addresses {
		if !slices.Contains(link.Addresses, a) {
			b.add(Step{Kind: AddAddress, Port: p.Name, Link: p.Interface, Address: a})
		}
	}
}

// kernelMade tells the addresses that a kernel gives an IPv6 interface.
func kernelMade(a netip.Prefix) bool { return a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() }

// release gives back the devices that have a filter and no must-secure port:
// IPv6, and last the filter goes, or counts from then on, on the device of a
// port. Addresses are for whoever uses the device next. Nothing is given back
// while a must-secure port's device is missing: a device with a filter may be
// that one, under another name.
func (b *builder) release(desired Desired) {
	if b.missing(desired) {
		return
	}
	var filters []Step
	on := make(map[string]bool)
	for _, p := range desired.Ports {
		on[p.Device] = true
		_, present := b.Links[p.Device]
		have, filtered := b.Filters[p.Device]
		want, _ := desired.Filter(p.Device)
		if p.Must || !present || filtered && have.Equal(want) || want.Underlay != nil {
			continue
		}
		s := Step{Kind: CountFrames, Port: p.Name, Device: p.Device, Filter: &want}
		if s.Why = whyFree(have); filtered && !have.CountOnly {
			b.giveBack(p.Device, p.Name, s.Why)
		}
		filters = append(filters, s)
	}
	for _, device := range slices.Sorted(maps.Keys(b.Filters)) {
		if _, wanted := desired.Filter(device); wanted || on[device] || b.gone[device] {
			continue
		}
		why := whyFree(b.Filters[device])
		if !b.Filters[device].CountOnly {
			b.giveBack(device, "", why)
		}
		filters = append(filters, Step{Kind: RemoveFilter, Device: device, Why: why})
	}
	b.steps = append(b.steps, filters...)
}

// missing tells whether the device of a must-secure port or tunnel is not there.
func (b *builder) missing(desired Desired) bool {
	lacks := func(device string, must bool) bool {
		_, present := b.Links[device]
		return must && !present && !b.made[device]
	}
	return slices.ContainsFunc(desired.Ports, func(p Port) bool { return lacks(p.Device, p.Must) }) ||
		slices.ContainsFunc(desired.Tunnels, func(t Tunnel) bool { return lacks(t.Device, t.Must) })
}

// whyFree says why a device with that filter is given back; "" for one that
// counts, or has none.
func whyFree(have Filter) string {
	switch {
	case have.Underlay != nil:
		return "no must-secure tunnel is on it"
	case have.EAPOLEtherType != 0 && !have.CountOnly:
		return "no must-secure port is on it"
	}
	return ""
}

// giveBack gives a device IPv6 back.
func (b *builder) giveBack(device, port, why string) {
	if link, present := b.Links[device]; present && !link.IPv6 {
		b.add(Step{Kind: EnableIPv6, Port: port, Link: device, Why: why})
	}
}
