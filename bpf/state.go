package bpf

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/link"
)

// Mode is how a program is attached. The zero Mode is not at all.
type Mode uint8

// The modes: Native and Generic are ingress, TCX and Clsact egress, and ingress
// where XDP cannot be had.
const (
	Native  Mode = iota + 1 // XDP in the driver
	Generic                 // XDP in the stack
	TCX
	Clsact
)

var modeNames = [...]string{"none", "native", "generic", "tcx", "clsact"}

func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return fmt.Sprintf("mode %d", uint8(m))
	}
	return modeNames[m]
}

// ByTC tells whether frames meet the program in tc.
func (m Mode) ByTC() bool { return m == TCX || m == Clsact }

// ForeignError is somebody else's program in the place that the filter needs.
type ForeignError struct {
	Device string
	Hook   string
	ID     uint32 // the program's, 0 if it is no BPF program
	Name   string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("bpf: device %s: %s is taken by program %q (id %d); remove it, or take the device out of linkseal's ports", e.Device, e.Hook, e.Name, e.ID)
}

// Side is one direction of a device as it was found.
type Side struct {
	Mode   Mode
	Filter Filter  // Allow sorted; of Underlay, which State has, only whether it is
	Port   [6]byte // the address that the program takes for the port's own
	// First tells that no other program of the hook runs before ours and
	// could pass frames past it.
	First bool
	// Twice tells that a change was cut off: ours is at two hooks, and what
	// passes counts twice.
	Twice bool

	settings portSettings
}

// State is a device as it was found.
type State struct {
	Address [6]byte // the device's, now
	// Queues is how many it receives by. A veth that is given more does not run
	// the program for them (Linux 6.18, veth_set_channels) until one is attached
	// anew: one that was attached to other queues does not enforce.
	Queues uint64
	// Joins tells that frames are joined (GRO) before ingress by tc, where the
	// kernel may have some to itself: it does not enforce. False with XDP.
	Joins   bool
	Ingress Side
	Egress  Side
	// Underlay is nil where the filter is not that of a tunnel's underlay.
	Underlay *UnderlayState
	// Foreign is somebody else's program where ours should be; Attach would
	// return it.
	Foreign *ForeignError
}

// Enforces tells whether both directions let through what f says and no more.
func (s State) Enforces(f Filter) bool { return s.Stands(f) && s.Underlay.says(f.Underlay) }

// Stands is Enforces, whatever the maps of an underlay say.
func (s State) Stands(f Filter) bool {
	want, err := f.settings(s.Address)
	if err != nil {
		return false
	}
	want.Queues = s.Queues
	for _, side := range []Side{s.Ingress, s.Egress} {
		want.Gro = side.settings.Gro // what it was
		if side.Mode == 0 || !side.First || side.Twice || side.settings != want {
			return false
		}
	}
	return !s.Joins && (s.Underlay == nil) == (f.Underlay == nil)
}

// hooks is a device with what is attached to it.
type hooks struct {
	link    netlink.Link
	address [6]byte
	queues  uint64 // RX, in use
	xdp     *program
	xdpMode Mode
	tc      [directions]tcSide
}

func (h *hooks) Close() { h.xdp.Close(); h.tc[Ingress].Close(); h.tc[Egress].Close() }

// in is our ingress program and how it is attached. XDP is what frames meet
// first.
func (h *hooks) in() (*program, Mode) {
	if h.xdp != nil {
		return h.xdp, h.xdpMode
	}
	return h.tc[Ingress].program()
}

func (h *hooks) out() (*program, Mode) { return h.tc[Egress].program() }

// pair is what is attached.
func (h *hooks) pair() pair {
	in, _ := h.in()
	out, _ := h.out()
	return pair{in, out}
}

// ingress tells what in is.
func (h *hooks) ingress() Side {
	behind := h.tc[Ingress].side()
	if h.xdp == nil {
		return behind
	}
	s := h.xdp.side(h.xdpMode, true)
	s.Twice = behind.Mode != 0
	return s
}

// open opens all that was found.
func (h *hooks) open() error {
	all := []*program{h.xdp}
	for d := range h.tc {
		all = append(all, h.tc[d].tcx, h.tc[d].clsact)
	}
	for _, p := range all {
		if err := p.open(); err != nil {
			return fmt.Errorf("device %s: %w", h.link.Attrs().Name, err)
		}
	}
	return nil
}

// openMaps opens those maps of the pair.
func (h *hooks) openMaps(names ...string) error {
	p := h.pair()
	for _, name := range names {
		if err := p.holder(name).openMaps(name); err != nil {
			return fmt.Errorf("device %s: %w", h.link.Attrs().Name, err)
		}
	}
	return nil
}

// look is glance, and opens what was found: for who changes it.
func look(ifindex int) (h *hooks, foreign *ForeignError, err error) {
	h, foreign, err = glance(ifindex)
	if err != nil {
		return nil, nil, err
	}
	if err := h.open(); err != nil {
		h.Close()
		return nil, nil, err
	}
	return h, foreign, nil
}

// glance finds what is at the device's hooks, and opens none of it. It collects
// foreign programs and goes on.
func glance(ifindex int) (h *hooks, foreign *ForeignError, err error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return nil, nil, fmt.Errorf("device %d: %w", ifindex, err)
	}
	h = &hooks{link: l}
	if len(l.Attrs().HardwareAddr) != len(h.address) {
		return nil, nil, fmt.Errorf("device %s: no Ethernet address; MACsec needs an Ethernet device", l.Attrs().Name)
	}
	copy(h.address[:], l.Attrs().HardwareAddr)
	h.queues = uint64(link.CountQueues(l.Attrs().Name, link.Queues{Rx: l.Attrs().NumRxQueues, Tx: l.Attrs().NumTxQueues}).Rx)
	var errXDP, errTC error
	h.xdp, h.xdpMode, errXDP = findXDP(l)
	h.tc, errTC = findSides(l)
	if out := h.tc[Egress]; !out.tcxOK { // with TCX that place is not needed
		foreign = out.foreign
	}
	var f *ForeignError
	if errors.As(errXDP, &f) {
		foreign, errXDP = f, nil
	}
	if err := errors.Join(errXDP, errTC); err != nil {
		h.Close()
		return nil, nil, fmt.Errorf("device %s: %w", l.Attrs().Name, err)
	}
	return h, foreign, nil
}

// Observe tells what is attached to the device with that index in the calling
// thread's network namespace.
func Observe(ifindex int) (State, error) {
	h, foreign, err := glance(ifindex)
	if err != nil {
		return State{}, fmt.Errorf("bpf: observe %w", err)
	}
	defer h.Close()
	s := State{Address: h.address, Queues: h.queues, Ingress: h.ingress(), Egress: h.tc[Egress].side(), Foreign: foreign}
	if s.Ingress.Mode.ByTC() {
		if s.Joins, err = link.GRO(h.link.Attrs().Name); err != nil {
			return s, fmt.Errorf("bpf: observe: %w", err)
		}
	}
	if err := h.openMaps(ofUnderlay...); err != nil {
		return s, fmt.Errorf("bpf: observe %w", err)
	}
	if u, err := underlayOf(h.pair().held); err == nil {
		state, err := u.state(h.pair().holder(portMapProtect).id)
		if err != nil {
			return s, fmt.Errorf("bpf: observe device %s: underlay: %w", h.link.Attrs().Name, err)
		}
		s.Underlay = &state
	}
	return s, nil
}

func (p *program) side(m Mode, first bool) Side {
	return Side{Mode: m, Filter: p.settings.filter(), Port: p.settings.Port, First: first, settings: p.settings}
}
