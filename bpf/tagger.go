package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// taggerHandle is the handle of our filters on a secured interface: one that
// others, who count from 1, do not have.
const taggerHandle = 0x6c74

// taggerHooks are where frames come out of the SecY, and where they go into it.
func taggerHooks(l netlink.Link) [directions]hook {
	return [directions]hook{
		{l, ebpf.AttachTCXIngress, netlink.HANDLE_MIN_INGRESS, taggerHandle, securedProgLinksealRx},
		{l, ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS, taggerHandle, securedProgLinksealTx},
	}
}

// tagger is one of the programs of a secured interface, attached. Its settings are
// zero: it has rules.
type tagger struct {
	*program
	rules securedTagRules // zero of another version of linkseal
	mode  Mode
}

func (t *tagger) Close() {
	if t != nil {
		t.program.Close()
	}
}

// findTagger looks for ours at the hook; nil if it is not there.
func (h hook) findTagger() (*tagger, error) {
	res, err := link.QueryPrograms(link.QueryOptions{Target: h.link.Attrs().Index, Attach: h.at})
	switch {
	case errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported):
	case err != nil:
		return nil, fmt.Errorf("TCX: %w", remedy(err))
	default:
		for _, a := range res.Programs {
			if t, err := openTagger(a.ID, h.name, TCX); t != nil || err != nil {
				return t, err
			}
		}
	}
	filters, err := h.filters()
	if err != nil {
		return nil, err
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Attrs().Handle == h.handle && b.Attrs().Priority == 1 {
			return openTagger(ebpf.ProgramID(b.Id), h.name, Clsact)
		}
	}
	return nil, nil
}

// openTagger is program id if it is ours, which its name and the mark in its
// rules tell.
func openTagger(id ebpf.ProgramID, name string, mode Mode) (*tagger, error) {
	k, err := programs.kind(id)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil // it has just gone
	case err != nil:
		return nil, err
	case k.name != name || !isMarked(k.constants, tagsMagic, tagsVersionBits):
		return nil, nil
	}
	p := &program{id: id, found: k, maps: mapsByName{}, tag: k.tag}
	return &tagger{program: p, rules: constantsOf[securedTagRules](k, tagsMagic), mode: mode}, nil
}

// put puts p at the hook, in place of old if there is one, in one step.
func (h hook) put(p *ebpf.Program, old *tagger, mode Mode) error {
	if old != nil {
		mode = old.mode
	}
	if mode == Clsact {
		return h.attachClsact(p)
	}
	var was *ebpf.Program
	if old != nil {
		was = old.Program
	}
	err := h.attachTCX(p, was, true)
	if mode == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported)) {
		return h.attachClsact(p)
	}
	return err
}
