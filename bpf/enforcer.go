package bpf

import (
	"errors"
	"fmt"
	gomaps "maps" // load.go has a function of that name
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// ErrNotAttached says that the filter is not, or not wholly, on the device.
var ErrNotAttached = errors.New("the filter is not attached in both directions; Attach it")

var errOtherVersion = errors.New("the filter is of another version of linkseal; Attach replaces it")

// Enforcer is the filter of one device, attached. It holds the maps, which it
// reads also when the filter has gone.
type Enforcer struct{ maps mapsByName }

// modes are those to attach in; 0 leaves the choice to attach.
type modes struct{ in, out Mode }

// Attach puts the filter on the device with that index in the calling thread's
// network namespace, or changes the one that is there, in one step for each
// direction. Ingress is by tc where the kernel refuses XDP. Where the same is
// there already it changes nothing. Somebody else's program in the place is a
// *ForeignError, and nothing is changed. On another error what was attached stays
// so: a port that fails stays closed.
func Attach(ifindex int, f Filter) (*Enforcer, error) { return attach(ifindex, f, modes{}) }

func attach(ifindex int, f Filter, m modes) (*Enforcer, error) {
	spec, err := newSpec()
	if err != nil {
		return nil, fmt.Errorf("bpf: %w", err)
	}
	return attachSpec(ifindex, spec, f, m)
}

// attachSpec attaches spec, which it changes.
func attachSpec(ifindex int, spec *ebpf.CollectionSpec, f Filter, m modes) (*Enforcer, error) {
	h, foreign, err := look(ifindex)
	if err != nil {
		return nil, fmt.Errorf("bpf: attach to %w", err)
	}
	defer h.Close()
	if foreign != nil {
		return nil, foreign
	}
	s, err := f.settings(h.address)
	if err != nil {
		return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
	}
	s.Queues = h.queues
	if f.Underlay != nil {
		if _, _, err := f.Underlay.wanted(); err != nil {
			return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
		}
	}
	p, err := load(spec, s, h.pair())
	if err != nil {
		return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
	}
	defer func() { p.Close() }() // with what shut has put into it
	if h.pair().held(portMapNames) != nil && !h.shutBoth() {
		if err := tellOpened(p.in.maps[portMapNames], noFilter, time.Now()); err != nil {
			return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
		}
	}
	// Before anything is judged by it.
	if f.Underlay != nil {
		if err := p.underlay(*f.Underlay); err != nil {
			return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
		}
	}
	if err := errors.Join(h.tc[Egress].put(p.out, m.out), h.shut(spec, s, &p, m.in)); err != nil {
		return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
	}
	return newEnforcer(p)
}

func newEnforcer(p pair) (*Enforcer, error) {
	e := &Enforcer{mapsByName{}}
	for name := range p.in.maps {
		m, err := p.held(name).Clone()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bpf: map %s: %w", name, err), e.Close())
		}
		if m != nil {
			e.maps[name] = m
		}
	}
	return e, nil
}

// Open finds the filter that an earlier process attached to the device.
func Open(ifindex int) (*Enforcer, error) {
	h, err := standing(ifindex)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.enforcer(slices.Collect(gomaps.Keys(h.pair().in.found.maps))...)
}

// open is Open of those maps alone, of which the filter may lack some.
func open(ifindex int, names ...string) (*Enforcer, error) {
	h, err := standing(ifindex)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.enforcer(names...)
}

// standing is glance at a filter of this version that is attached in both directions.
func standing(ifindex int) (*hooks, error) {
	h, _, err := glance(ifindex)
	if err != nil {
		return nil, fmt.Errorf("bpf: open the filter of %w", err)
	}
	switch p := h.pair(); {
	case p.in == nil || p.out == nil:
		err = ErrNotAttached
	case p.in.settings.Magic != magic || p.out.settings.Magic != magic:
		err = errOtherVersion
	default:
		return h, nil
	}
	h.Close()
	return nil, fmt.Errorf("bpf: device %s: %w", h.link.Attrs().Name, err)
}

// enforcer has those maps of the pair, for itself.
func (h *hooks) enforcer(names ...string) (*Enforcer, error) {
	p, e := h.pair(), &Enforcer{mapsByName{}}
	for _, name := range names {
		if q := p.holder(name); q != nil {
			if err := programs.openMaps(q.found, e.maps, name); err != nil {
				return nil, errors.Join(fmt.Errorf("bpf: device %s: %w", h.link.Attrs().Name, err), e.Close())
			}
		}
	}
	return e, nil
}

// ReadCounters reads the counters of the filter on the device with that index in
// the calling thread's network namespace. Errors are ErrNotAttached, and that the
// filter is another version's.
func ReadCounters(ifindex int) (Counters, error) {
	e, err := open(ifindex, ofCounters...)
	if err != nil {
		return Counters{}, err
	}
	defer e.Close()
	return e.Counters()
}

// ReadFlows is ReadCounters, of a tunnel's flows. Where there are none it is
// ErrNotUnderlay.
func ReadFlows(ifindex int) ([]FlowCounter, error) {
	e, err := open(ifindex, ofUnderlay...)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.Flows()
}

// ofCounters are the maps of Enforcer.Counters.
var ofCounters = []string{portMapIngress, portMapEgress, portMapSent}

// Detach opens the device: it removes the filter, if it is there, and nothing
// else, ingress first.
func Detach(ifindex int) error {
	h, _, err := look(ifindex)
	if err != nil {
		return fmt.Errorf("bpf: detach from %w", err)
	}
	defer h.Close()
	var errs []error
	if h.xdp != nil {
		errs = append(errs, setXDP(h.link, h.xdpMode, -1, h.xdp.FD()))
	}
	errs = append(errs, h.leaveTC(), h.tc[Egress].remove())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: detach from device %s: %w", h.link.Attrs().Name, err)
	}
	return nil
}

// Counters reads the counters.
func (e *Enforcer) Counters() (c Counters, err error) {
	if c.Ingress, err = verdicts(e.maps[portMapIngress]); err != nil {
		return c, fmt.Errorf("bpf: ingress: %w", err)
	}
	if c.Egress, err = verdicts(e.maps[portMapEgress]); err != nil {
		return c, fmt.Errorf("bpf: egress: %w", err)
	}
	var n portSent
	if err := e.maps[portMapSent].Lookup(uint32(0), &n); err != nil {
		return c, fmt.Errorf("bpf: egress: read what sockets sent: %w", err)
	}
	c.Egress.MACsec.Packets += n.All.Packets
	c.Egress.MACsec.Octets += n.All.Octets
	return c, nil
}

// SetUnderlay changes what may be in clear on a tunnel's underlay, in place:
// without a moment in which more passes than one of both lets through. On an error
// what could be changed is.
func (e *Enforcer) SetUnderlay(want Underlay) error {
	u, err := underlayOf(e.held)
	if err == nil {
		err = u.set(want)
	}
	if err != nil {
		return fmt.Errorf("bpf: underlay: %w", err)
	}
	return nil
}

// Flows reads the counters of a tunnel's flows.
func (e *Enforcer) Flows() ([]FlowCounter, error) {
	u, err := underlayOf(e.held)
	if err != nil {
		return nil, fmt.Errorf("bpf: underlay: %w", err)
	}
	all, err := u.counters()
	if err != nil {
		return nil, fmt.Errorf("bpf: underlay: %w", err)
	}
	return all, nil
}

func (e *Enforcer) held(name string) *ebpf.Map { return e.maps[name] }

// Close lets go of the filter, which stays attached.
func (e *Enforcer) Close() error { return e.maps.Close() }
