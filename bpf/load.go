package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pair has both directions; an absent one is nil.
type pair struct{ in, out *program }

func (p pair) Close() { p.in.Close(); p.out.Close() }

// xsks and sent are maps that both programs hold, so that they are there for
// as long as either is attached; nil if neither has one.
func (p pair) xsks() *ebpf.Map { return p.either(func(q *program) *ebpf.Map { return q.xsks }) }
func (p pair) sent() *ebpf.Map { return p.either(func(q *program) *ebpf.Map { return q.sent }) }

func (p pair) either(of func(*program) *ebpf.Map) *ebpf.Map {
	for _, q := range []*program{p.in, p.out} {
		if q != nil && of(q) != nil {
			return of(q)
		}
	}
	return nil
}

// load loads new programs from spec, which it changes, that count on in the
// counters of old and feed its sockets.
func load(spec *ebpf.CollectionSpec, s mustSettings, old pair) (p pair, err error) {
	if err := spec.Variables[mustVarMust].Set(s); err != nil {
		return p, fmt.Errorf("settings: %w", err)
	}
	xsks, err := newXsks(spec, old)
	if err != nil {
		return p, fmt.Errorf("map of sockets: %w", remedy(err))
	}
	defer xsks.Close() // nil is fine
	opts := &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	for name, m := range map[string]*ebpf.Map{mustMapXsks: xsks, mustMapSent: old.sent()} {
		if m != nil {
			opts.MapReplacements[name] = m
		}
	}
	if old.in != nil && old.in.counters != nil {
		opts.MapReplacements[mustMapIngress] = old.in.counters
	}
	if old.out != nil && old.out.counters != nil {
		opts.MapReplacements[mustMapEgress] = old.out.counters
	}
	var obj struct {
		In      *ebpf.Program `ebpf:"linkseal_in"`
		Out     *ebpf.Program `ebpf:"linkseal_out"`
		Ingress *ebpf.Map     `ebpf:"ingress"`
		Egress  *ebpf.Map     `ebpf:"egress"`
		Sent    *ebpf.Map     `ebpf:"sent"`
	}
	if err := spec.LoadAndAssign(&obj, opts); err != nil {
		return p, fmt.Errorf("load: %w", remedy(err))
	}
	defer obj.Sent.Close()
	p.in = &program{Program: obj.In, counters: obj.Ingress, settings: s}
	p.out = &program{Program: obj.Out, counters: obj.Egress, settings: s}
	for _, q := range []*program{p.in, p.out} {
		if err := q.complete(xsks, obj.Sent); err != nil {
			p.Close()
			return pair{}, err
		}
	}
	return p, nil
}

// complete has a program hold the maps of both, whether it uses them or not,
// and reads its tag.
func (p *program) complete(xsks, sent *ebpf.Map) (err error) {
	p.xsks, err = p.hold(xsks)
	if err == nil {
		p.sent, err = p.hold(sent)
	}
	if err != nil {
		return fmt.Errorf("bind a map: %w", remedy(err))
	}
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	p.tag = info.Tag
	return nil
}

// hold has the kernel keep m, which may be nil, for as long as the program.
func (p *program) hold(m *ebpf.Map) (*ebpf.Map, error) {
	if m == nil {
		return nil, nil
	}
	if err := p.BindMap(m); err != nil {
		return nil, err
	}
	return m.Clone()
}

// newXsks is the map of sockets: that of old, or a new one. Where the kernel
// has no AF_XDP it is nil, and spec becomes one that does without.
func newXsks(spec *ebpf.CollectionSpec, old pair) (*ebpf.Map, error) {
	if m := old.xsks(); m != nil {
		return m.Clone()
	}
	m, err := ebpf.NewMap(spec.Maps[mustMapXsks])
	if errors.Is(err, unix.EINVAL) { // kernel/bpf/syscall.c, map_create: no such type
		p := spec.Programs[mustProgLinksealInStack]
		p.Name = mustProgLinksealIn
		spec.Programs[mustProgLinksealIn] = p
		return nil, nil
	}
	return m, err
}
