package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Fence says what leaves this machine by some interfaces alone, whatever routes
// and rules say: those of somebody else may come before linkseal's, and linkseal's
// be taken away. The filter of an underlay is on one device; this is on all
// others. It holds what this machine routes, not what is bridged.
type Fence struct {
	Protect []netip.Prefix `json:"protect"` // destinations; none lies in another
	// Pass are interfaces of tunnels, and devices whose filter knows better.
	Pass []string `json:"pass"`
	// Remotes are where the tunnels' own packets go, by any interface: ESP, and UDP
	// from Ports.
	Remotes []netip.Addr `json:"remotes,omitempty"`
	Ports   []uint16     `json:"ports,omitempty"`
}

// The UDP ports of IKE (RFC 7296 2), and of ESP and IKE in UDP (RFC 3948).
var ikePorts = []uint16{500, 4500}

func (f *Fence) String() string {
	return fmt.Sprintf("nothing to %s leaves by an interface other than %s", few(f.Protect, netip.Prefix.String), few(f.Pass, func(s string) string { return s }))
}

// few names the first few of list.
func few[T any](list []T, text func(T) string) string {
	const most = 3
	var names []string
	for i, e := range list {
		if i == most && len(list) > most+1 {
			names = append(names, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		names = append(names, text(e))
	}
	return strings.Join(names, ", ")
}

// Equal compares what they do.
func (f *Fence) Equal(o *Fence) bool {
	if f == nil || o == nil {
		return f == o
	}
	a, b := f.sorted(), o.sorted()
	return slices.Equal(a.Protect, b.Protect) && slices.Equal(a.Pass, b.Pass) && slices.Equal(a.Remotes, b.Remotes) && slices.Equal(a.Ports, b.Ports)
}

// sorted is f in order, without repetitions, and without prefixes in others.
func (f *Fence) sorted() *Fence {
	s := &Fence{Pass: slices.Compact(slices.Sorted(slices.Values(f.Pass))), Ports: slices.Compact(slices.Sorted(slices.Values(f.Ports))),
		Remotes: slices.Compact(slices.SortedFunc(slices.Values(f.Remotes), netip.Addr.Compare))}
	for _, p := range sortedPrefixes(f.Protect) {
		if n := len(s.Protect); n == 0 || !s.Protect[n-1].Overlaps(p) {
			s.Protect = append(s.Protect, p)
		}
	}
	return s
}

// wantFence is what d asks for; nil without a must-secure tunnel. A tunnel that is
// blocked may have an interface that is not linkseal's: by that nothing passes.
func (b *builder) wantFence(d Desired, problems []Problem, blocked map[string]bool) *Fence {
	f := &Fence{}
	must, stays := false, make(map[string]bool)
	for _, t := range d.Tunnels {
		stays[t.Name] = true
		for _, m := range t.Members {
			if !blocked[t.Name] {
				f.Pass = append(f.Pass, m.Interface)
			}
		}
		if !t.Must {
			continue
		}
		must = true
		f.Protect = append(f.Protect, t.Protect...)
		if _, present := b.Links[t.Device]; present && !b.gone[t.Device] || d.makes(t.Device, problems) {
			f.Pass = append(f.Pass, t.Device) // with its filter, which is set before
		}
		f.Remotes = append(f.Remotes, t.Remotes...)
		for _, flow := range t.Flows {
			if flow.Protocol == XFRM {
				f.Ports = append(f.Ports, ikePorts...)
			} else {
				f.Ports = append(f.Ports, flow.LocalPort)
			}
		}
	}
	if !must {
		return nil
	}
	// Charon has a tun before the tunnel tells of it.
	for name, link := range b.Links {
		if owner, _, owned := link.member(); owned && stays[owner] && !b.gone[name] {
			f.Pass = append(f.Pass, name)
		}
	}
	return f.sorted()
}

// fence holds back what tunnels protect, and what has been held back until it is
// not routed any more: see unfence.
func (b *builder) fence(want *Fence) {
	if want == nil || want.Equal(b.Fence) {
		return
	}
	wide := want
	if have := b.Fence; have != nil {
		all := *want
		all.Protect = append(slices.Clone(want.Protect), have.Protect...)
		wide = all.sorted()
	}
	if wide.Equal(b.Fence) {
		return
	}
	b.add(Step{Kind: SetFence, Fence: wide})
	b.Fence = wide
}

// unfence lets go what is protected no more.
func (b *builder) unfence(want *Fence) {
	switch {
	case want.Equal(b.Fence):
	case want == nil:
		b.add(Step{Kind: RemoveFence, Why: "no tunnel protects anything"})
	default:
		why := ""
		if !slices.Equal(want.Protect, b.Fence.sorted().Protect) {
			why = "it is protected no more"
		}
		b.add(Step{Kind: SetFence, Fence: want, Why: why})
	}
}
