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
	xsks     *ebpf.Map // nil where the kernel has no AF_XDP
	sent     *ebpf.Map
	settings mustSettings
	tag      string // the kernel's digest of the instructions
}

func (p *program) Close() {
	if p != nil {
		p.Program.Close()
		for _, m := range []*ebpf.Map{p.counters, p.xsks, p.sent} {
			m.Close() // nil is fine
		}
	}
}

// equal tells whether two programs do the same.
func (p *program) equal(o *program) bool { return p.tag == o.tag && p.settings == o.settings }

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

// maps looks for settings, counters and what is for sockets among the maps of a
// program, and for our mark in the settings.
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
		case p.xsks == nil && m.Type() == ebpf.XSKMap && m.MaxEntries() == queues:
			p.xsks = m
			continue
		case p.sent == nil && m.Type() == ebpf.Array && m.MaxEntries() == 1 && m.ValueSize() == counterSize:
			p.sent = m
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
