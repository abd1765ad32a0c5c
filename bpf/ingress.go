package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/link"
)

// shut closes ingress with p.in by XDP or, where that cannot be had, by tc with
// a program that takes its place in p. The new one is there before the old one
// goes.
func (h *hooks) shut(spec *ebpf.CollectionSpec, s portSettings, p *pair, mode Mode) error {
	var refused error
	if !mode.ByTC() {
		if refused = h.shutXDP(p.in, mode); refused == nil {
			return h.leaveTC()
		}
		// Who is in XDP's place might pass frames on past tc.
		if mode != 0 || !h.free() {
			return refused
		}
	}
	if err := h.shutTC(spec, s, p, mode); err != nil {
		return errors.Join(refused, err)
	}
	if h.xdp != nil {
		return setXDP(h.link, h.xdpMode, -1, h.xdp.FD())
	}
	return nil
}

func (h *hooks) shutXDP(p *program, mode Mode) error {
	if h.xdp == nil {
		return attachXDP(h.link, p, nil, mode)
	}
	if h.xdp.equal(p) {
		return nil
	}
	return attachXDP(h.link, p, h.xdp, h.xdpMode)
}

// shutBoth tells whether all frames met ours, in both directions.
func (h *hooks) shutBoth() bool {
	in, out := h.ingress(), h.tc[Egress].side()
	if in.Mode == 0 || !in.First || out.Mode == 0 || !out.First {
		return false
	}
	if in.Mode.ByTC() {
		joins, err := link.GRO(h.link.Attrs().Name)
		return err == nil && !joins
	}
	return in.settings.Queues >= h.queues
}

// free tells whether nobody has the XDP hook now.
func (h *hooks) free() bool {
	l, err := netlink.LinkByIndex(h.link.Attrs().Index)
	return err == nil && (l.Attrs().Xdp == nil || !l.Attrs().Xdp.Attached)
}

// shutTC has frames come to tc one by one: what GRO joins it may also give to
// who waits for it, without tc (ESP of an SA of this host, net/ipv4/esp4_offload.c).
// XDP in the stack has that off itself (net/core/gro.c, netif_elide_gro).
func (h *hooks) shutTC(spec *ebpf.CollectionSpec, s portSettings, p *pair, mode Mode) error {
	name := h.link.Attrs().Name
	joins, err := link.GRO(name)
	if err != nil {
		return err
	}
	if old, _ := h.tc[Ingress].program(); joins || old != nil && old.settings.Gro == 1 {
		s.Gro = 1
	}
	in, err := p.byTC(spec, s)
	if err != nil {
		return err
	}
	p.in.Close()
	p.in = in
	if joins {
		if err := link.SetGRO(name, false); err != nil {
			return err
		}
	}
	return h.tc[Ingress].put(in, mode)
}

// leaveTC takes ingress out of tc, and gives back what shutTC took.
func (h *hooks) leaveTC() error {
	p, _ := h.tc[Ingress].program()
	if p == nil {
		return nil
	}
	if err := h.tc[Ingress].remove(); err != nil {
		return err
	}
	if p.settings.Gro == 0 {
		return nil
	}
	return link.SetGRO(h.link.Attrs().Name, true)
}

// NoXDPError says that ingress is by tc since XDP cannot be had.
type NoXDPError struct{ Cause error }

func (e *NoXDPError) Error() string { return e.Cause.Error() }
func (e *NoXDPError) Unwrap() error { return e.Cause }

// Lift puts ingress of a filter that is in tc into XDP, if that can be had by
// now: else it is a *NoXDPError, and nothing is changed. Where ingress is not by
// tc it does nothing.
func Lift(ifindex int) error {
	h, foreign, err := look(ifindex)
	if err != nil {
		return fmt.Errorf("bpf: put into XDP the filter of %w", err)
	}
	defer h.Close()
	in, mode := h.in()
	if !mode.ByTC() {
		return nil
	}
	if foreign != nil {
		return &NoXDPError{foreign}
	}
	var refused *NoXDPError
	if err := h.lift(in); errors.As(err, &refused) {
		return refused
	} else if err != nil {
		return fmt.Errorf("bpf: put into XDP the filter of device %s: %w", h.link.Attrs().Name, err)
	}
	return nil
}

func (h *hooks) lift(in *program) error {
	if in.settings.Magic != magic {
		return errOtherVersion
	}
	spec, err := newSpec()
	if err != nil {
		return err
	}
	s := in.settings
	s.Gro = 0
	p, err := load(spec, s, h.pair())
	if err != nil {
		return err
	}
	defer p.Close()
	if err := attachXDP(h.link, p.in, nil, 0); err != nil {
		return &NoXDPError{err}
	}
	return h.leaveTC()
}
