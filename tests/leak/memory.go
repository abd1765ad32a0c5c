package leak

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Memory is what was looked at of a process, and what was found.
type Memory struct {
	Octets int64 // that were read
	Found  []Finding
	// Unread are the mappings that hold no memory of the process, or cannot
	// be read: the kernel's own data, and rings that it shares.
	Unread []string
}

// Finding is a secret, or a part of it, at an address.
type Finding struct {
	Secret  string // its name
	What    string // it is, or which part
	Address uint64
	Mapping string // as /proc/PID/maps names it
}

func (f Finding) String() string { return fmt.Sprintf("%s at %#x in %s", f.What, f.Address, f.Mapping) }

// mapping is a line of /proc/PID/maps.
type mapping struct {
	from, to uint64
	mode     string
	name     string
}

// step is how much is read at a time, in octets.
const step = 16 << 10

// Scan reads all that is mapped in process pid, can be touched and has been,
// while it runs: heap, free or not, stacks, files. It needs root.
func Scan(pid int, secrets []Secret) (*Memory, error) {
	maps, err := readMaps(pid)
	if err != nil {
		return nil, err
	}
	p, err := open(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var forms []form
	for _, s := range secrets {
		forms = append(forms, s.held()...)
	}
	s, m := newSearcher(forms), &Memory{}
	for _, at := range maps {
		if err := m.scan(p, at, s); err != nil {
			return nil, fmt.Errorf("memory of process %d: %w", pid, err)
		}
	}
	return m, nil
}

// scan reads one mapping.
func (m *Memory) scan(p *process, at mapping, s *searcher) error {
	switch {
	case at.mode[0] != 'r' && at.mode[1] != 'w':
		return nil // address space without memory
	case at.name == "[vvar]" || at.name == "[vvar_vclock]" || at.name == "[vsyscall]":
		m.Unread = append(m.Unread, at.name)
		return nil
	}
	buf, zero := make([]byte, step+s.most), make([]byte, step+s.most)
	for from := at.from; from < at.to; from += step {
		b := buf[:min(uint64(len(buf)), at.to-from)]
		if there, err := p.touched(from, len(b)); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		} else if !there {
			continue
		}
		n, err := p.mem.ReadAt(b, int64(from))
		// What the kernel maps for a device or a ring (VM_IO) is not read.
		shared := at.mode[3] == 's' || strings.HasPrefix(at.name, "socket:") || strings.HasPrefix(at.name, "anon_inode:")
		if errors.Is(err, syscall.EIO) && shared && n == 0 {
			m.Unread = append(m.Unread, at.String())
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		m.Octets += int64(min(step, n))
		if bytes.Equal(b, zero[:len(b)]) {
			continue
		}
		s.find(b, func(i, form int) {
			if i < step {
				m.Found = append(m.Found, Finding{s.forms[form].secret, s.forms[form].name, from + uint64(i), at.String()})
			}
		})
	}
	return nil
}

func (m mapping) String() string {
	name := m.name
	if name == "" {
		name = "anonymous memory"
	}
	return fmt.Sprintf("%x-%x %s %s", m.from, m.to, m.mode, name)
}

func readMaps(pid int) (list []mapping, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var m mapping
		var offset, device, inode string
		if n, err := fmt.Sscanf(lines.Text(), "%x-%x %s %s %s %s %s", &m.from, &m.to, &m.mode, &offset, &device, &inode, &m.name); n < 6 {
			return nil, fmt.Errorf("/proc/%d/maps: %q: %w", pid, lines.Text(), err)
		}
		list = append(list, m)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("/proc/%d/maps is empty: the process has ended", pid)
	}
	return list, nil
}
