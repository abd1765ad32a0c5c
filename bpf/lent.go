package bpf

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// What is attached is found by its id, and that takes CAP_SYS_ADMIN, as does the root
// of the cgroups: the broker opens them if there is one.

func programByID(id ebpf.ProgramID) (*ebpf.Program, error) {
	if !broker.Configured() {
		return ebpf.NewProgramFromID(id)
	}
	fd, _, err := broker.Ask(broker.Request{What: broker.Program, A: uint32(id)})
	if err != nil {
		return nil, err
	}
	return ebpf.NewProgramFromFD(fd)
}

// mapByID opens map id, which program of has.
func mapByID(of ebpf.ProgramID, id ebpf.MapID) (*ebpf.Map, error) {
	if !broker.Configured() {
		return ebpf.NewMapFromID(id)
	}
	fd, _, err := broker.Ask(broker.Request{What: broker.Map, A: uint32(of), B: uint32(id)})
	if err != nil {
		return nil, err
	}
	return ebpf.NewMapFromFD(fd)
}

// innerMap opens the map that is in slot, an array of maps of one, which program of has;
// ebpf.ErrKeyNotExist if none is.
func innerMap(of ebpf.ProgramID, slot *ebpf.Map) (inner *ebpf.Map, err error) {
	if !broker.Configured() {
		err = slot.Lookup(uint32(0), &inner)
		return inner, err
	}
	var id uint32
	if err := slot.Lookup(uint32(0), &id); err != nil {
		return nil, err
	}
	info, err := slot.Info()
	if err != nil {
		return nil, err
	}
	outer, _ := info.ID()
	fd, _, err := broker.Ask(broker.Request{What: broker.InnerMap, A: uint32(of), B: uint32(outer)})
	if err != nil {
		return nil, err
	}
	return ebpf.NewMapFromFD(fd)
}

// mapExists tells whether there is a map with that id.
func mapExists(id ebpf.MapID) error {
	if !broker.Configured() {
		return tryMap(id)
	}
	_, _, err := broker.Ask(broker.Request{What: broker.MapExists, A: uint32(id)})
	return err
}

func tryMap(id ebpf.MapID) error {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return err
	}
	return m.Close()
}

// Lends are what a broker does for this package. Maps are lent of programs with names
// of ours alone, those of others being nobody's business here.
var Lends = map[broker.What]broker.Lend{
	broker.Program: func(id, _ uint32) (int, string, error) {
		p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
		if err != nil {
			return -1, "", err
		}
		defer p.Close()
		return give(p.FD())
	},
	broker.Map: func(of, id uint32) (int, string, error) {
		if err := owns(ebpf.ProgramID(of), ebpf.MapID(id)); err != nil {
			return -1, "", err
		}
		return giveMap(ebpf.MapID(id))
	},
	broker.InnerMap: func(of, outer uint32) (int, string, error) {
		if err := owns(ebpf.ProgramID(of), ebpf.MapID(outer)); err != nil {
			return -1, "", err
		}
		return giveInner(ebpf.MapID(outer))
	},
	broker.MapExists: func(id, _ uint32) (int, string, error) {
		return -1, "", tryMap(ebpf.MapID(id))
	},
	broker.Cgroups: func(_, _ uint32) (int, string, error) {
		fd, err := cgroupRoot()
		return fd, "", err
	},
}

// owns is nil if program of has one of our names, and map id.
func owns(of ebpf.ProgramID, id ebpf.MapID) error {
	p, err := ebpf.NewProgramFromID(of)
	if err != nil {
		return err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return err
	}
	if ids, _ := info.MapIDs(); !slices.Contains(programNames, info.Name) || !slices.Contains(ids, id) {
		return fmt.Errorf("map %d is not one of program %d (%s), or that is not linkseal's: %w", id, of, info.Name, unix.EPERM)
	}
	return nil
}

// giveInner is the map in the first place of outer, one of ours.
func giveInner(outer ebpf.MapID) (int, string, error) {
	m, err := ebpf.NewMapFromID(outer)
	if err != nil {
		return -1, "", err
	}
	defer m.Close()
	if m.Type() != ebpf.ArrayOfMaps {
		return -1, "", fmt.Errorf("map %d has no maps in it: %w", outer, unix.EPERM)
	}
	var inner *ebpf.Map
	if err := m.Lookup(uint32(0), &inner); err != nil {
		return -1, "", err
	}
	defer inner.Close()
	return give(inner.FD())
}

func giveMap(id ebpf.MapID) (int, string, error) {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return -1, "", err
	}
	defer m.Close()
	return give(m.FD())
}

// give is a descriptor that outlives the object that has fd.
func give(fd int) (int, string, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return own, "", err
}
