package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pair has both directions; an absent one is nil.
type pair struct{ in, out *program }

func (p pair) Close() { p.in.Close(); p.out.Close() }

// holder is the program whose map of that name is the pair's: both hold all maps,
// so that they are there for as long as either is attached. It is nil where the
// kernel does not have the map, or the programs are another version's. Those of an
// underlay are not another port's.
func (p pair) holder(name string) *program {
	for _, q := range []*program{p.in, p.out} {
		if q != nil && q.settings.Magic == magic && q.has(name) && (q.settings.Underlay == 1 || !slices.Contains(ofUnderlay, name)) {
			return q
		}
	}
	return nil
}

// held is the map of that name; nil where holder is, or it was not opened.
func (p pair) held(name string) *ebpf.Map {
	if q := p.holder(name); q != nil {
		return q.maps[name]
	}
	return nil
}

// id is that of the map of that name, of programs that were found; 0 where holder
// is nil.
func (p pair) id(name string) ebpf.MapID {
	if q := p.holder(name); q != nil {
		return q.found.maps[name]
	}
	return 0
}

// portSpec is the port's object, read once: to read it takes ten times as long as
// to copy it.
var portSpec = sync.OnceValues(loadPort)

// newSpec is a copy of the port's object, which may be changed.
func newSpec() (*ebpf.CollectionSpec, error) {
	spec, err := portSpec()
	if err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	return spec.Copy(), nil
}

// load loads new programs from spec, which it changes, that count on in the
// counters of old and feed its sockets.
func load(spec *ebpf.CollectionSpec, s portSettings, old pair) (p pair, err error) {
	if err := spec.Variables[portVarMust].Set(s); err != nil {
		return p, fmt.Errorf("settings: %w", err)
	}
	shared, err := maps(spec, old, s.Underlay == 1)
	defer func() { shared.Close() }() // after an error too: some are there
	if err != nil {
		return p, fmt.Errorf("maps: %w", remedy(err))
	}
	var obj struct {
		In  *ebpf.Program `ebpf:"linkseal_in"`
		Out *ebpf.Program `ebpf:"linkseal_out"`
	}
	if err := spec.LoadAndAssign(&obj, &ebpf.CollectionOptions{MapReplacements: shared}); err != nil {
		return p, fmt.Errorf("load: %w", remedy(err))
	}
	p.in = &program{Program: obj.In, settings: s}
	p.out = &program{Program: obj.Out, settings: s}
	for _, q := range []*program{p.in, p.out} {
		if err := q.complete(shared); err != nil {
			p.Close()
			return pair{}, err
		}
	}
	return p, nil
}

// byTC loads the program that judges in tc what comes in, from a spec that load
// was given, over the maps of p and with other settings.
func (p pair) byTC(spec *ebpf.CollectionSpec, s portSettings) (*program, error) {
	if err := spec.Variables[portVarMust].Set(s); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var obj struct {
		In *ebpf.Program `ebpf:"linkseal_in_tc"`
	}
	if err := spec.LoadAndAssign(&obj, &ebpf.CollectionOptions{MapReplacements: p.in.maps}); err != nil {
		return nil, fmt.Errorf("load ingress by tc: %w", remedy(err))
	}
	in := &program{Program: obj.In, settings: s}
	if err := in.complete(p.in.maps); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// complete has a program hold the maps, whether it uses them or not, and reads
// its tag.
func (p *program) complete(shared mapsByName) (err error) {
	p.maps = mapsByName{}
	for name, m := range shared {
		if err := p.BindMap(m); err != nil {
			return fmt.Errorf("bind map %s: %w", name, remedy(err))
		}
		if p.maps[name], err = m.Clone(); err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
	}
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	p.tag = info.Tag
	return nil
}

// underlay has the maps of p, which are its own or those of the programs that it
// is to replace, say what want does.
func (p pair) underlay(want Underlay) error {
	u, err := underlayOf(p.held)
	if err != nil {
		return err
	}
	return u.set(want)
}

// narrow leaves no room in what an underlay alone has.
func narrow(spec *ebpf.CollectionSpec, isUnderlay bool) {
	for _, name := range ofUnderlay {
		if !isUnderlay {
			spec.Maps[name].MaxEntries = 1
		}
	}
}

// maps are the maps of spec but its settings: those of old, or new ones.
func maps(spec *ebpf.CollectionSpec, old pair, isUnderlay bool) (mapsByName, error) {
	all := mapsByName{}
	narrow(spec, isUnderlay)
	for name, of := range spec.Maps {
		if strings.HasPrefix(name, ".") { // a section of constants
			continue
		}
		var m *ebpf.Map
		var err error
		if isUnderlay || !slices.Contains(ofUnderlay, name) {
			m, err = old.held(name).Clone() // nil of nil
		}
		switch {
		case err != nil || m != nil:
		case name == portMapXsks:
			m, err = newXsks(spec)
		default:
			m, err = ebpf.NewMap(of)
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", name, err)
		}
		if m != nil {
			all[name] = m
		}
	}
	return all, initialise(all)
}

// initialise makes the entries that the programs do not.
func initialise(all mapsByName) error {
	for d := range uint32(directions) {
		rest := make([]portCircuit, ebpf.MustPossibleCPU())
		err := all[portMapCircuits].Update(portCircuitKey{Tags: noTag, Direction: d}, rest, ebpf.UpdateNoExist)
		if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("%s: %w", portMapCircuits, err)
		}
	}
	return nil
}

// newXsks is a map of sockets. Where the kernel has no AF_XDP it is nil, and
// spec becomes one that does without.
func newXsks(spec *ebpf.CollectionSpec) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(spec.Maps[portMapXsks])
	if errors.Is(err, unix.EINVAL) { // kernel/bpf/syscall.c, map_create: no such type
		p := spec.Programs[portProgLinksealInStack]
		p.Name = portProgLinksealIn
		spec.Programs[portProgLinksealIn] = p
		return nil, nil
	}
	return m, err
}
