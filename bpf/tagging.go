package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
)

// tagsVersionBits are those of TAGS_MAGIC.
const tagsVersionBits = 16

var native = binary.NativeEndian

// Tagging is what is found on a secured interface.
type Tagging struct {
	Ingress, Egress Mode // 0: not attached
	Rules           []Rule
	// Torn says that Rules are not what both sides go by: one is not attached,
	// or goes by others, or is of another version of linkseal.
	Torn bool
}

// AttachTags counts the frames of a secured interface, the MACsec device or tap
// with that index in the calling thread's network namespace, by circuit, and by
// rules, of which the first that matches counts: it puts programs on both its
// sides, or others in the place of those that are there, in one step each.
// Counters go on, those of a class by its name.
func AttachTags(ifindex int, rules []Rule) error { return attachTags(ifindex, rules, 0) }

func attachTags(ifindex int, rules []Rule, mode Mode) error {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return fmt.Errorf("bpf: tag on device %d: %w", ifindex, err)
	}
	if err := tagOn(l, rules, mode); err != nil {
		return fmt.Errorf("bpf: tag on device %s: %w", l.Attrs().Name, err)
	}
	return nil
}

func tagOn(l netlink.Link, rules []Rule, mode Mode) error {
	old, err := findTaggers(l)
	defer func() { old.Close() }()
	if err == nil {
		err = old.open()
	}
	if err != nil {
		return err
	}
	progs, err := loadTags(rules, old)
	if err != nil {
		return err
	}
	defer progs.Close()
	for d, h := range taggerHooks(l) {
		if err := h.put([]*ebpf.Program{progs.LinksealRx, progs.LinksealTx}[d], old[d], mode); err != nil {
			return err
		}
	}
	return nil
}

// taggers are those of both directions; nil where there is none.
type taggers [directions]*tagger

func (t taggers) Close() {
	for _, one := range t {
		one.Close()
	}
}

// open opens those that were found.
func (t taggers) open() error {
	for _, one := range t {
		if one == nil {
			continue
		}
		if err := one.open(); err != nil {
			return err
		}
	}
	return nil
}

// findTaggers are those of both hooks. With an error it is one, or none; Close
// comes then too.
func findTaggers(l netlink.Link) (t taggers, err error) {
	for d, h := range taggerHooks(l) {
		if t[d], err = h.findTagger(); err != nil {
			return t, err
		}
	}
	return t, nil
}

// current is one of this version; nil if there is none.
func (t taggers) current() *tagger {
	for _, one := range t {
		if one != nil && one.rules.Magic == tagsMagic {
			return one
		}
	}
	return nil
}

// taggerObjects are what is loaded, with the rules as written, which no program
// uses: they are bound to both, for who finds them.
type taggerObjects struct {
	securedObjects
	Written *ebpf.Map `ebpf:".rodata.written"`
}

// Close closes all.
func (o *taggerObjects) Close() error {
	return errors.Join(o.securedObjects.Close(), o.Written.Close())
}

// keptByTaggers are the counters, which outlive a change of rules.
var keptByTaggers = []string{securedMapNearCircuits, securedMapCircuits, securedMapUntagged, securedMapClasses}

// loadTags loads programs for rules that count on in the counters of old.
func loadTags(rules []Rule, old taggers) (*taggerObjects, error) {
	kept := mapsByName{}
	var was *securedTagRules
	if t := old.current(); t != nil {
		was = &t.rules
		for _, name := range keptByTaggers {
			if m := t.maps[name]; m != nil {
				kept[name] = m
			}
		}
	}
	t, err := compile(rules, was)
	if err != nil {
		return nil, err
	}
	spec, err := loadSecured()
	if err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	if err := errors.Join(spec.Variables[securedVarWritten].Set(t.written), spec.Variables[securedVarTables].Set(t.tables)); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	obj := new(taggerObjects)
	if err := spec.LoadAndAssign(obj, &ebpf.CollectionOptions{MapReplacements: kept}); err != nil {
		return nil, fmt.Errorf("load: %w", remedy(err))
	}
	if err := t.ready(obj); err != nil {
		return nil, errors.Join(err, obj.Close())
	}
	return obj, nil
}

// ready fills the maps of programs that are not attached yet.
func (t *tagging) ready(obj *taggerObjects) error {
	if err := t.fill(obj.Prefixes4, obj.Prefixes6); err != nil {
		return remedy(err)
	}
	none := make([]portCircuit, ebpf.MustPossibleCPU())
	for _, slot := range t.fresh {
		for d := range uint32(directions) {
			if err := obj.Classes.Put(uint32(slot)*directions+d, none); err != nil {
				return fmt.Errorf("clear the counters of a class: %w", err)
			}
		}
	}
	if err := initialise(mapsByName{portMapCircuits: obj.Circuits}); err != nil {
		return err
	}
	// Held by both, whether they use them or not: for one that comes later.
	for _, p := range []*ebpf.Program{obj.LinksealRx, obj.LinksealTx} {
		for _, m := range []*ebpf.Map{obj.Written, obj.NearCircuits, obj.Circuits, obj.Untagged, obj.Classes} {
			if err := p.BindMap(m); err != nil {
				return fmt.Errorf("bind map: %w", remedy(err))
			}
		}
	}
	return nil
}

// ObserveTags tells what is attached to the secured interface with that index
// in the calling thread's network namespace.
func ObserveTags(ifindex int) (Tagging, error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return Tagging{}, fmt.Errorf("bpf: observe tags of device %d: %w", ifindex, err)
	}
	t, err := findTaggers(l)
	if err != nil {
		return Tagging{}, fmt.Errorf("bpf: observe tags of device %s: %w", l.Attrs().Name, err)
	}
	var o Tagging
	for d, mode := range []*Mode{&o.Ingress, &o.Egress} {
		if t[d] == nil {
			o.Torn = true
			continue
		}
		*mode = t[d].mode
		o.Torn = o.Torn || t[d].rules.Magic != tagsMagic
	}
	if o.Ingress == 0 && o.Egress == 0 {
		return Tagging{}, nil
	}
	if c := t.current(); c != nil {
		for _, w := range c.rules.Rule[:min(int(c.rules.Count), MaxRules)] {
			o.Rules = append(o.Rules, readRule(w))
		}
		o.Torn = o.Torn || !o.Torn && t[0].rules != t[1].rules
	}
	return o, nil
}

// Tags tells whether both sides go by rules.
func (t Tagging) Tags(rules []Rule) bool {
	return !t.Torn && t.Ingress != 0 && t.Egress != 0 && slices.Equal(t.Rules, rules)
}

// DetachTags removes the programs of AttachTags, if they are there, and nothing
// else.
func DetachTags(ifindex int) error {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return fmt.Errorf("bpf: remove the tags of device %d: %w", ifindex, err)
	}
	t, err := findTaggers(l)
	defer func() { t.Close() }()
	errs := []error{err}
	for d, h := range taggerHooks(l) {
		switch {
		case t[d] == nil:
		case t[d].mode == TCX:
			if err := t[d].openProgram(); err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, h.detachTCX(t[d].Program))
		default:
			errs = append(errs, h.detachClsact())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("bpf: remove the tags of device %s: %w", l.Attrs().Name, err)
	}
	return nil
}
