package bpf

import (
	"errors"
	"fmt"
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
// direction. Where the same is there already it changes nothing. Somebody
// else's program in the place is a *ForeignError, and nothing is changed. On
// another error what was attached stays so: a port that fails stays closed.
func Attach(ifindex int, f Filter) (*Enforcer, error) { return attach(ifindex, f, modes{}) }

func attach(ifindex int, f Filter, m modes) (*Enforcer, error) {
	spec, err := loadPort()
	if err != nil {
		return nil, fmt.Errorf("bpf: read the object: %w", err)
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
	old, _ := h.out()
	p, err := load(spec, s, pair{h.in, old})
	if err != nil {
		return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
	}
	defer p.Close()
	if (pair{h.in, old}).held(portMapNames) != nil && !h.shutBoth() {
		if err := tellOpened(p.in.maps[portMapNames], noFilter, time.Now()); err != nil {
			return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
		}
	}
	if f.Underlay != nil { // before anything is judged by it
		if err := p.underlay(*f.Underlay); err != nil {
			return nil, fmt.Errorf("bpf: attach to device %s: %w", h.link.Attrs().Name, err)
		}
	}
	if err := errors.Join(h.close(p.out, m.out), h.shut(p.in, m.in)); err != nil {
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

// shutBoth tells whether all frames met ours, in both directions.
func (h *hooks) shutBoth() bool {
	_, mode := h.out()
	return h.in != nil && h.in.settings.Queues >= h.queues && mode != 0 && (mode == Clsact || h.first)
}

// close closes egress with p.
func (h *hooks) close(p *program, mode Mode) error {
	if mode == 0 {
		mode = Clsact
		if h.tcxOK {
			mode = TCX
		}
	}
	if mode == TCX {
		if h.tcx == nil || !h.first || !h.tcx.equal(p) {
			if err := portEgress(h.link).attachTCX(p.Program, h.tcx.bare(), h.first); err != nil {
				return err
			}
		}
		if h.clsact != nil {
			return portEgress(h.link).detachClsact()
		}
		return nil
	}
	if h.clsact == nil || !h.clsact.equal(p) {
		if err := portEgress(h.link).attachClsact(p.Program); err != nil {
			return err
		}
	}
	if h.tcx != nil {
		return portEgress(h.link).detachTCX(h.tcx.Program)
	}
	return nil
}

// shut closes ingress with p.
func (h *hooks) shut(p *program, mode Mode) error {
	if h.in == nil {
		return attachXDP(h.link, p, nil, mode)
	}
	if h.in.equal(p) {
		return nil
	}
	return attachXDP(h.link, p, h.in, h.inMode)
}

// Open finds the filter that an earlier process attached to the device.
func Open(ifindex int) (*Enforcer, error) {
	h, _, err := look(ifindex)
	if err != nil {
		return nil, fmt.Errorf("bpf: open the filter of %w", err)
	}
	defer h.Close()
	out, _ := h.out()
	if h.in == nil || out == nil {
		return nil, fmt.Errorf("bpf: device %s: %w", h.link.Attrs().Name, ErrNotAttached)
	}
	if h.in.settings.Magic != magic || out.settings.Magic != magic {
		return nil, fmt.Errorf("bpf: device %s: %w", h.link.Attrs().Name, errOtherVersion)
	}
	return newEnforcer(pair{h.in, out})
}

// Detach opens the device: it removes the filter, if it is there, and nothing
// else, ingress first.
func Detach(ifindex int) error {
	h, _, err := look(ifindex)
	if err != nil {
		return fmt.Errorf("bpf: detach from %w", err)
	}
	defer h.Close()
	var errs []error
	if h.in != nil {
		errs = append(errs, setXDP(h.link, h.inMode, -1, h.in.FD()))
	}
	if h.tcx != nil {
		errs = append(errs, portEgress(h.link).detachTCX(h.tcx.Program))
	}
	if h.clsact != nil {
		errs = append(errs, portEgress(h.link).detachClsact())
	}
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
