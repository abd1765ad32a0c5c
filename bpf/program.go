package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// program is one of ours, attached or about to be. One of another version of
// linkseal may have no counters that we know and zero settings.
type program struct {
	*ebpf.Program
	counters *ebpf.Map
	settings mustSettings
	tag      string // the kernel's digest of the instructions
}

func (p *program) Close() {
	if p != nil {
		p.Program.Close()
		p.counters.Close() // nil is fine
	}
}

// equal tells whether two programs do the same.
func (p *program) equal(o *program) bool { return p.tag == o.tag && p.settings == o.settings }

// pair has both directions; an absent one is nil.
type pair struct{ in, out *program }

func (p pair) Close() { p.in.Close(); p.out.Close() }

// load loads new programs that count on in the counters of old.
func load(s mustSettings, old pair) (p pair, err error) {
	spec, err := loadMust()
	if err != nil {
		return p, err
	}
	if err := spec.Variables[mustVarMust].Set(s); err != nil {
		return p, fmt.Errorf("settings: %w", err)
	}
	opts := &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{}}
	if old.in != nil && old.in.counters != nil {
		opts.MapReplacements[mustMapIngress] = old.in.counters
	}
	if old.out != nil && old.out.counters != nil {
		opts.MapReplacements[mustMapEgress] = old.out.counters
	}
	var obj struct {
		mustPrograms
		mustMaps
	}
	if err := spec.LoadAndAssign(&obj, opts); err != nil {
		return p, fmt.Errorf("load: %w", remedy(err))
	}
	p.in = &program{Program: obj.LinksealIn, counters: obj.Ingress, settings: s}
	p.out = &program{Program: obj.LinksealOut, counters: obj.Egress, settings: s}
	for _, q := range []*program{p.in, p.out} {
		info, err := q.Info()
		if err != nil {
			p.Close()
			return pair{}, fmt.Errorf("read back: %w", err)
		}
		q.tag = info.Tag
	}
	return p, nil
}

// find opens the attached program id. It is ours if it has the name and
// settings with our mark; else the program is nil and the name is what to call
// it by.
func find(id ebpf.ProgramID, name string) (*program, string, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil, "", fmt.Errorf("open program %d: %w", id, remedy(err))
	}
	p := &program{Program: prog}
	info, err := prog.Info()
	if err != nil {
		p.Close()
		return nil, "", fmt.Errorf("program %d: %w", id, err)
	}
	ours := false
	if info.Name == name {
		p.tag = info.Tag
		ours, err = p.maps(info)
	}
	if err != nil || !ours {
		p.Close()
		return nil, info.Name, err
	}
	return p, info.Name, nil
}

// maps looks for settings and counters among the maps of a program, and for
// our mark in the settings.
func (p *program) maps(info *ebpf.ProgramInfo) (ours bool, err error) {
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return false, fmt.Errorf("open map %d: %w", id, remedy(err))
		}
		switch {
		case p.counters == nil && m.Type() == ebpf.PerCPUArray && m.MaxEntries() == uint32(mustVerdictVERDICTS) && m.ValueSize() == counterSize:
			p.counters = m
			continue
		case m.Type() == ebpf.Array && m.MaxEntries() == 1:
			var value []byte
			value, err = m.LookupBytes(uint32(0))
			if err == nil && len(value) >= 8 {
				mark := binary.NativeEndian.Uint64(value)
				ours = ours || mark>>versionBits == magic>>versionBits
				if mark == magic && m.ValueSize() == settingsSize {
					err = m.Lookup(uint32(0), &p.settings)
				}
			}
		}
		m.Close()
		if err != nil {
			return false, fmt.Errorf("read map %d: %w", id, err)
		}
	}
	return ours, nil
}

func remedy(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (it needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN)", err)
	}
	return err
}
