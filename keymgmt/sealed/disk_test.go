package sealed

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

var (
	errDied   = errors.New("the machine has died")
	errBroken = errors.New("input/output error")
)

// memory is a disk that remembers what of it would outlast a loss of power,
// and that ends or fails at a given operation.
type memory struct {
	names   map[string]*inode // as programs see them
	durable map[string]*inode // as they are after a loss of power, but for
	pending []change          // these, of which any may have been made

	steps  int
	dieAt  int // the operation that does not happen, nor any after it; -1: none
	failAt int // the operation that fails; -1: none
}

type inode struct{ now, durable []byte }

// change is one of a directory: name becomes node, or goes if that is nil;
// from goes if it is not empty.
type change struct {
	name, from string
	node       *inode
}

func (c change) apply(m map[string]*inode) {
	delete(m, c.from)
	if c.node == nil {
		delete(m, c.name)
	} else {
		m[c.name] = c.node
	}
}

func newMemory() *memory {
	return &memory{names: map[string]*inode{}, durable: map[string]*inode{}, dieAt: -1, failAt: -1}
}

// step is before each operation.
func (m *memory) step() error {
	m.steps++
	switch n := m.steps - 1; {
	case m.dieAt >= 0 && n >= m.dieAt:
		return errDied
	case n == m.failAt:
		return errBroken
	}
	return nil
}

func (m *memory) path(name string) string        { return "/state/" + name }
func (m *memory) lock() (unlock func(), e error) { return func() {}, nil }

func (m *memory) read(name string, max int) ([]byte, error) {
	n := m.names[name]
	if n == nil {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	if len(n.now) > max {
		return nil, &accessError{path: name, what: "is long", accepted: "short"}
	}
	return slices.Clone(n.now), nil
}

func (m *memory) change(c change) {
	c.apply(m.names)
	m.pending = append(m.pending, c)
}

func (m *memory) create(name string) (file, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	if m.names[name] != nil {
		return nil, fs.ErrExist
	}
	n := &inode{}
	m.change(change{name: name, node: n})
	return &opened{m, n}, nil
}

func (m *memory) rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	if m.names[from] == nil {
		return fs.ErrNotExist
	}
	m.change(change{name: to, from: from, node: m.names[from]})
	return nil
}

func (m *memory) remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	if m.names[name] != nil {
		m.change(change{name: name})
	}
	return nil
}

func (m *memory) sync() error {
	if err := m.step(); err != nil {
		return err
	}
	m.durable, m.pending = maps.Clone(m.names), nil
	return nil
}

type opened struct {
	m *memory
	n *inode
}

func (o *opened) Write(b []byte) (int, error) {
	if err := o.m.step(); err != nil {
		// It ends in the middle.
		o.n.now = append(o.n.now, b[:len(b)/2]...)
		return len(b) / 2, err
	}
	o.n.now = append(o.n.now, b...)
	return len(b), nil
}

func (o *opened) Sync() error {
	if err := o.m.step(); err != nil {
		return err
	}
	o.n.durable = slices.Clone(o.n.now)
	return nil
}

func (o *opened) Close() error { return o.m.step() }

// restarted is the disk after the process has died and the machine has not.
func (m *memory) restarted() *memory {
	out := newMemory()
	of := map[*inode]*inode{}
	copyOf := func(n *inode) *inode {
		if n != nil && of[n] == nil {
			of[n] = &inode{slices.Clone(n.now), slices.Clone(n.durable)}
		}
		return of[n]
	}
	for name, n := range m.names {
		out.names[name] = copyOf(n)
	}
	for name, n := range m.durable {
		out.durable[name] = copyOf(n)
	}
	for _, c := range m.pending {
		out.pending = append(out.pending, change{c.name, c.from, copyOf(c.node)})
	}
	return out
}

// outages are all disks that a loss of power may leave: of the changes to the
// directory since its last sync any may have been made, and of data that was
// not synced there is all, nothing, a half, or as many zeroes.
func (m *memory) outages() (out []*memory) {
	for set := range 1 << len(m.pending) {
		names := maps.Clone(m.durable)
		for i, c := range m.pending {
			if set&(1<<i) != 0 {
				c.apply(names)
			}
		}
		for state := range 4 {
			after, dirty := newMemory(), false
			for name, n := range names {
				data := n.durable
				if !slices.Equal(n.now, n.durable) {
					dirty = true
					data = [][]byte{n.durable, n.now, n.now[:len(n.now)/2], make([]byte, len(n.now))}[state]
				}
				after.names[name] = &inode{slices.Clone(data), slices.Clone(data)}
			}
			after.durable = maps.Clone(after.names)
			out = append(out, after)
			if !dirty {
				break
			}
		}
	}
	return out
}
