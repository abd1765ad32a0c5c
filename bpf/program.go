package bpf

import (
	"errors"
	"fmt"
	gomaps "maps" // load.go has a function of that name
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// program is one of ours, attached or about to be. One of another version of
// linkseal may have no counters that we know and zero settings.
type program struct {
	*ebpf.Program // nil of one that was found, until open
	id            ebpf.ProgramID
	found         *kind      // nil of one that was loaded
	maps          mapsByName // of one that was found: those that were opened
	settings      portSettings
	tag           string // the kernel's digest of the instructions
}

// has tells whether the program holds a map of that name.
func (p *program) has(name string) bool {
	if p.found == nil {
		return p.maps[name] != nil
	}
	return p.found.maps[name] != 0
}

// openMaps opens those maps of a program that was found, as far as it has them.
func (p *program) openMaps(names ...string) error {
	if p == nil {
		return nil
	}
	return programs.openMaps(p.found, p.maps, names...)
}

// open opens a program that was found with all its maps.
func (p *program) open() error {
	if p == nil {
		return nil
	}
	if err := p.openProgram(); err != nil {
		return err
	}
	return p.openMaps(slices.Collect(gomaps.Keys(p.found.maps))...)
}

func (p *program) openProgram() (err error) {
	if p.Program != nil {
		return nil
	}
	if p.Program, err = programByID(p.id); err != nil {
		return fmt.Errorf("open program %d: %w", p.id, remedy(err))
	}
	return nil
}

func (p *program) Close() {
	if p == nil {
		return
	}
	if p.Program != nil {
		p.Program.Close()
	}
	p.maps.Close()
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

// find tells what the attached program id is. It is ours if it has the name and
// settings with our mark; else the program is nil and the name is what to call
// it by.
func find(id ebpf.ProgramID, name string) (*program, string, error) {
	k, err := programs.kind(id)
	if err != nil {
		return nil, "", err
	}
	if k.name != name || !isMarked(k.constants, magic, versionBits) {
		return nil, k.name, nil
	}
	return &program{id: id, found: k, maps: mapsByName{}, settings: constantsOf[portSettings](k, magic), tag: k.tag}, k.name, nil
}

func remedy(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w (it needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN)", err)
	}
	return err
}
