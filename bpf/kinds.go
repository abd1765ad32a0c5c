package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
)

// kind is what a program is: all that is known of one that is attached, and cannot
// change any more. Of one that has not a name of ours it is the name alone.
type kind struct {
	id   ebpf.ProgramID
	name string
	tag  string                // the kernel's digest of the instructions
	maps map[string]ebpf.MapID // but its sections of constants
	// constants are the section that begins with a mark of ours; nil: none does.
	constants []byte
}

// programNames are those that find, openTagger and findGuards look for.
var programNames = []string{
	portProgLinksealIn, portProgLinksealInTc, portProgLinksealOut,
	securedProgLinksealRx, securedProgLinksealTx, guardProgLinksealGuard,
}

// marks are what sections of constants of ours begin with; of each the lowest bits
// are the version.
var marks = []struct {
	mark    uint64
	version int
}{{magic, versionBits}, {tagsMagic, tagsVersionBits}}

// isMarked tells whether b begins with mark, of whatever version.
func isMarked(b []byte, mark uint64, version int) bool {
	return len(b) >= 8 && native.Uint64(b)>>version == mark>>version
}

// constantsOf are those of a program of this version; the zero T of another's.
func constantsOf[T any](k *kind, mark uint64) (t T) {
	if b := k.constants; len(b) >= 8 && native.Uint64(b) == mark && uintptr(len(b)) == unsafe.Sizeof(t) {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&t)), len(b)), b)
	}
	return t
}

// catalogue has the kinds of programs, by id. It cannot be out of date: what is at
// a hook is asked for each time, by its id, and the kernel gives no id to two in
// 2^31. Nor does it hold anything: programs and maps end as if nobody knew them.
type catalogue struct {
	read func(ebpf.ProgramID) (*kind, error)
	open func(ebpf.ProgramID, ebpf.MapID) (*ebpf.Map, error)

	mu sync.Mutex
	of map[ebpf.ProgramID]*kind
}

// programs are those of the machine.
var programs = catalogue{read: readKind, open: mapByID}

// maxKinds is many times what one machine has attached at once.
const maxKinds = 1024

// kind tells what program id is.
func (c *catalogue) kind(id ebpf.ProgramID) (*kind, error) {
	c.mu.Lock()
	k := c.of[id]
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	k, err := c.read(id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || len(c.of) >= maxKinds { // those that are still there are read again
		c.of = make(map[ebpf.ProgramID]*kind)
	}
	c.of[id] = k
	return k, nil
}

// openMaps opens those maps of k that are not in opened yet, as far as it has them.
func (c *catalogue) openMaps(k *kind, opened mapsByName, names ...string) error {
	for _, name := range names {
		id := k.maps[name]
		if id == 0 || opened[name] != nil {
			continue
		}
		m, err := c.open(k.id, id)
		if err != nil {
			return fmt.Errorf("open map %s: %w", name, remedy(err))
		}
		opened[name] = m
	}
	return nil
}

// readKind opens program id, and its maps if it has a name of ours.
func readKind(id ebpf.ProgramID) (*kind, error) {
	prog, err := programByID(id)
	if err != nil {
		return nil, fmt.Errorf("open program %d: %w", id, remedy(err))
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("program %d: %w", id, err)
	}
	k := &kind{id: id, name: info.Name, tag: info.Tag, maps: make(map[string]ebpf.MapID)}
	if !slices.Contains(programNames, k.name) {
		return k, nil
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		if err := k.add(id); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// add reads map id, which the program has.
func (k *kind) add(id ebpf.MapID) error {
	m, err := mapByID(k.id, id)
	if err != nil {
		return fmt.Errorf("open map %d: %w", id, remedy(err))
	}
	info, err := m.Info()
	if err == nil {
		if strings.HasPrefix(info.Name, ".") {
			err = k.section(m)
		} else {
			k.maps[info.Name] = id
		}
	}
	if err = errors.Join(err, m.Close()); err != nil {
		return fmt.Errorf("read map %d: %w", id, err)
	}
	return nil
}

// section reads a section of constants.
func (k *kind) section(m *ebpf.Map) error {
	value, err := m.LookupBytes(uint32(0))
	if err != nil {
		return err
	}
	for _, one := range marks {
		if isMarked(value, one.mark, one.version) {
			k.constants = value
		}
	}
	return nil
}
