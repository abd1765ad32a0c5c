package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// program is one of ours, attached or about to be. One of another version of
// linkseal may have no counters that we know and zero settings.
type program struct {
	*ebpf.Program
	maps     mapsByName
	settings portSettings
	tag      string // the kernel's digest of the instructions
}

func (p *program) Close() {
	if p != nil {
		p.Program.Close()
		p.maps.Close()
	}
}

// bare is the program; nil of nil.
func (p *program) bare() *ebpf.Program {
	if p == nil {
		return nil
	}
	return p.Program
}

// mapsByName are the maps of port.c but its settings. There is no xsks where
// the kernel has no AF_XDP.
type mapsByName map[string]*ebpf.Map

func (m mapsByName) Close() error {
	var errs []error
	for _, one := range m {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
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
		p.maps, ours, err = openMaps(info, magic, versionBits, &p.settings)
	}
	if err != nil || !ours {
		p.Close()
		return nil, info.Name, err
	}
	return p, info.Name, nil
}

// openMaps opens the maps of a program but its sections of constants. It is ours
// if one of these begins with mark, whose lowest bits are the version; with the
// same version constants is what that section has.
func openMaps[T any](info *ebpf.ProgramInfo, mark uint64, version int, constants *T) (maps mapsByName, ours bool, err error) {
	maps = mapsByName{}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return maps, false, fmt.Errorf("open map %d: %w", id, remedy(err))
		}
		info, err := m.Info()
		if err != nil {
			return maps, false, errors.Join(fmt.Errorf("map %d: %w", id, err), m.Close())
		}
		if !strings.HasPrefix(info.Name, ".") {
			maps[info.Name] = m
			continue
		}
		value, err := m.LookupBytes(uint32(0))
		if err == nil && len(value) >= 8 {
			found := native.Uint64(value)
			ours = ours || found>>version == mark>>version
			if found == mark && uintptr(len(value)) == unsafe.Sizeof(*constants) {
				err = m.Lookup(uint32(0), constants)
			}
		}
		if err = errors.Join(err, m.Close()); err != nil {
			return maps, false, fmt.Errorf("read map %d: %w", id, err)
		}
	}
	return maps, ours, nil
}

func remedy(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (it needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN)", err)
	}
	return err
}
