package bpf

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/link"
)

// Mode is how a program is attached. The zero Mode is not at all.
type Mode uint8

// The modes: Native and Generic are ingress, TCX and Clsact egress.
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

	settings portSettings
}

// State is a device as it was found.
type State struct {
	Address [6]byte // the device's, now
	// Queues is how many it receives by. A veth that is given more does not run
	// the program for them (Linux 6.18, veth_set_channels) until one is attached
	// anew: one that was attached to other queues does not enforce.
	Queues  uint64
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
		if side.Mode == 0 || !side.First || side.settings != want {
			return false
		}
	}
	return (s.Underlay == nil) == (f.Underlay == nil)
}

// hooks is a device with what is attached to it.
type hooks struct {
	link    netlink.Link
	address [6]byte
	queues  uint64 // RX, in use
	in      *program
	inMode  Mode
	tcx     *program
	tcxOK   bool // the kernel has TCX
	first   bool // tcx runs before all others
	clsact  *program
}

func (h *hooks) Close() { h.in.Close(); h.tcx.Close(); h.clsact.Close() }

// out is our egress program and how it is attached. With both, TCX is what
// frames meet first.
func (h *hooks) out() (*program, Mode) {
	switch {
	case h.tcx != nil:
		return h.tcx, TCX
	case h.clsact != nil:
		return h.clsact, Clsact
	}
	return nil, 0
}

// look finds what is at the device's hooks. It collects foreign programs and
// goes on.
func look(ifindex int) (h *hooks, foreign *ForeignError, err error) {
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
	var errIn, errTCX, errClsact error
	h.in, h.inMode, errIn = findXDP(l)
	h.tcx, h.first, h.tcxOK, errTCX = findTCX(l)
	h.clsact, errClsact = findClsact(l)
	var f *ForeignError
	if errors.As(errClsact, &f) {
		errClsact = nil
		if !h.tcxOK { // with TCX that place is not needed
			foreign = f
		}
	}
	if errors.As(errIn, &f) {
		foreign, errIn = f, nil
	}
	if err := errors.Join(errIn, errTCX, errClsact); err != nil {
		h.Close()
		return nil, nil, fmt.Errorf("device %s: %w", l.Attrs().Name, err)
	}
	return h, foreign, nil
}

// Observe tells what is attached to the device with that index in the calling
// thread's network namespace.
func Observe(ifindex int) (State, error) {
	h, foreign, err := look(ifindex)
	if err != nil {
		return State{}, fmt.Errorf("bpf: observe %w", err)
	}
	defer h.Close()
	s := State{Address: h.address, Queues: h.queues, Foreign: foreign}
	if h.in != nil {
		s.Ingress = h.in.side(h.inMode, true)
	}
	p, mode := h.out()
	if p != nil {
		s.Egress = p.side(mode, mode == Clsact || h.first)
	}
	if u, err := underlayOf(pair{h.in, p}.held); err == nil {
		state, err := u.state()
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
