package bpf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hook is a place of ours in a device's tc: by TCX, or a filter of its clsact
// qdisc.
type hook struct {
	link   netlink.Link
	at     ebpf.AttachType // of TCX
	parent uint32          // of the filter
	handle uint32
	name   string // the program's
}

// portHooks are where a port's frames come in if XDP cannot be had, and where
// they leave.
func portHooks(l netlink.Link) [directions]hook {
	return [directions]hook{
		{l, ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, 1, portProgLinksealInTc},
		{l, ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS, 1, portProgLinksealOut},
	}
}

// portEgress is where a port's frames leave.
func portEgress(l netlink.Link) hook { return portHooks(l)[Egress] }

// findTCX looks for ours among the TCX programs of the hook. first tells whether
// it runs before all others. ok is false where the kernel has no TCX.
func (h hook) findTCX() (p *program, first, ok bool, err error) {
	res, err := link.QueryPrograms(link.QueryOptions{Target: h.link.Attrs().Index, Attach: h.at})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		return nil, false, false, nil
	}
	if err != nil {
		return nil, false, false, fmt.Errorf("TCX: %w", remedy(err))
	}
	for i, a := range res.Programs {
		p, _, err := find(a.ID, h.name)
		if err != nil {
			return nil, false, true, err
		}
		if p != nil {
			return p, i == 0, true, nil
		}
	}
	return nil, false, true, nil
}

// attachTCX puts p before all others, and takes old away if there is one.
func (h hook) attachTCX(p, old *ebpf.Program, first bool) error {
	o := link.RawAttachProgramOptions{Target: h.link.Attrs().Index, Program: p, Attach: h.at, Anchor: link.Head()}
	if old != nil && first {
		o.Anchor = link.ReplaceProgram(old)
	}
	if err := link.RawAttachProgram(o); err != nil {
		return fmt.Errorf("TCX: %w", remedy(err))
	}
	if old != nil && !first {
		return h.detachTCX(old)
	}
	return nil
}

func (h hook) detachTCX(p *ebpf.Program) error {
	err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: h.link.Attrs().Index, Program: p, Attach: h.at})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("TCX: %w", remedy(err))
	}
	return nil
}

// filter is the place of our cls_bpf filter: the first.
func (h hook) filter() *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: h.link.Attrs().Index, Parent: h.parent,
			Priority: 1, Handle: h.handle, Protocol: unix.ETH_P_ALL,
		},
		Name:         h.name,
		DirectAction: true,
	}
}

func clsact(l netlink.Link) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// addClsact has the device have a clsact qdisc. One of kind ingress is in the
// same place, and takes filters for egress too: they meet what comes in.
func addClsact(l netlink.Link) error {
	err := netlink.QdiscAdd(clsact(l))
	if errors.Is(err, unix.EEXIST) {
		var there bool
		if there, err = hasClsact(l); err == nil && !there {
			err = fmt.Errorf("a qdisc of kind ingress is in its place; remove it (tc qdisc del dev %s ingress): clsact has its filters too", l.Attrs().Name)
		}
	}
	if err != nil {
		return fmt.Errorf("add the clsact qdisc: %w", remedy(err))
	}
	return nil
}

func hasClsact(l netlink.Link) (bool, error) {
	qdiscs, err := again(func() ([]netlink.Qdisc, error) { return netlink.QdiscList(l) })
	if err != nil {
		return false, fmt.Errorf("list qdiscs: %w", err)
	}
	return slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool {
		return q.Attrs().Parent == netlink.HANDLE_CLSACT && q.Type() == "clsact"
	}), nil
}

// filters are those of the clsact qdisc; none without one.
func (h hook) filters() ([]netlink.Filter, error) {
	there, err := hasClsact(h.link)
	if err != nil || !there {
		return nil, err
	}
	return h.list()
}

// list is filters, of a device that has the qdisc.
func (h hook) list() ([]netlink.Filter, error) {
	filters, err := again(func() ([]netlink.Filter, error) { return netlink.FilterList(h.link, h.parent) })
	if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	return filters, nil
}

var parentNames = map[uint32]string{netlink.HANDLE_MIN_INGRESS: "clsact ingress", netlink.HANDLE_MIN_EGRESS: "clsact egress"}

// findClsact looks for our filter in the device's clsact qdisc. Another
// filter in its place is an error.
func (h hook) findClsact() (*program, error) {
	filters, err := h.list()
	if err != nil {
		return nil, err
	}
	for _, f := range filters {
		a := f.Attrs()
		if a.Priority != 1 || a.Handle == 0 { // handle 0: the list's head, no filter
			continue
		}
		foreign := &ForeignError{Device: h.link.Attrs().Name, Hook: parentNames[h.parent] + ", pref 1", Name: f.Type()}
		b, ok := f.(*netlink.BpfFilter)
		if !ok {
			return nil, foreign
		}
		if tagger, err := h.beside(b); err != nil {
			return nil, err
		} else if tagger {
			continue
		}
		p, name, err := find(ebpf.ProgramID(b.Id), h.name)
		if err != nil {
			return nil, err
		}
		if p == nil {
			foreign.ID, foreign.Name = uint32(b.Id), name
			return nil, foreign
		}
		return p, nil
	}
	return nil, nil
}

// beside tells the filter that counts and tags what a secured interface, which is
// the underlay of a tunnel, passes: it has a handle of its own in the same place,
// and whichever of them is asked first, it leaves the verdict to the other.
func (h hook) beside(b *netlink.BpfFilter) (bool, error) {
	for _, other := range taggerHooks(h.link) {
		if other.parent != h.parent || b.Attrs().Handle != other.handle {
			continue
		}
		t, err := openTagger(ebpf.ProgramID(b.Id), other.name, Clsact)
		return t != nil, err
	}
	return false, nil
}

// attachClsact puts p in our place, in one step if one of ours is there.
func (h hook) attachClsact(p *ebpf.Program) error {
	if err := addClsact(h.link); err != nil {
		return err
	}
	f := h.filter()
	f.Fd = p.FD()
	if err := netlink.FilterReplace(f); err != nil {
		return fmt.Errorf("clsact filter: %w", remedy(err))
	}
	return nil
}

// detachClsact removes our filter. The qdisc stays: it does nothing by
// itself, and it may be somebody else's.
func (h hook) detachClsact() error {
	if err := netlink.FilterDel(h.filter()); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("clsact filter: %w", remedy(err))
	}
	return nil
}

// again repeats a dump that a change has interrupted.
func again[T any](dump func() ([]T, error)) (out []T, err error) {
	for range 8 {
		if out, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}
