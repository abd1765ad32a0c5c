package update_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/linkseal/linkseal/images/slot"
)

// machine is a disk whose power can be cut: what was not synced may be on it or not,
// each sector and each of FAT's changes for itself, in any combination.
type machine struct {
	step  int            // of what was done to it
	cutAt int            // the power goes before that step; -1 never
	fail  int            // that step fails, once; -1 none
	root  disk           // of the other slot
	hash  disk           // its hash tree
	esp   fat            // the EFI system partition
	from  func(b []byte) // is given what is read from the root, to spoil it
}

// powerCut is what a step panics with.
type powerCut struct{}

var errBroken = errors.New("input/output error")

// do is one step: where a cut can come.
func (m *machine) do() error {
	m.step++
	if m.step == m.cutAt {
		panic(powerCut{})
	}
	if m.step == m.fail {
		return errBroken
	}
	return nil
}

const sector = 512

type write struct {
	at   int
	data []byte
}

// disk is a partition.
type disk struct {
	m       *machine
	durable []byte
	pending []write
}

func (d *disk) Size() int64 { return int64(len(d.durable)) }

func (d *disk) WriteAt(p []byte, at int64) (int, error) {
	if int(at)+len(p) > len(d.durable) {
		return 0, errors.New("past the end of the partition")
	}
	for n := 0; n < len(p); n += sector {
		if n%(4*sector) == 0 { // not each sector is a step
			if err := d.m.do(); err != nil {
				return n, err
			}
		}
		d.pending = append(d.pending, write{int(at) + n, bytes.Clone(p[n:min(n+sector, len(p))])})
	}
	return len(p), nil
}

func (d *disk) Sync() error {
	if err := d.m.do(); err != nil {
		return err
	}
	d.settle(func() bool { return true })
	return nil
}

// ReadAt reads from the disk: what was written and not synced is not there.
func (d *disk) ReadAt(p []byte, at int64) (int, error) {
	n, err := bytes.NewReader(d.durable).ReadAt(p, at)
	if d.m != nil && d.m.from != nil {
		d.m.from(p[:n])
	}
	return n, err
}

// settle has each pending write on the disk, or loses it.
func (d *disk) settle(keep func() bool) {
	for _, w := range d.pending {
		if keep() {
			copy(d.durable[w.at:], w.data)
		}
	}
	d.pending = nil
}

// fat is a directory of a FAT file system. A name and the clusters of what it names
// are written each for itself.
type fat struct {
	m       *machine
	names   map[string]int // durable: name to file
	data    map[int][]byte // durable
	pending []func(f *fat) // changes that are not on the disk yet
	seen    *fat           // with all of them
	next    int
}

func (f *fat) clone() *fat {
	c := &fat{names: maps.Clone(f.names), data: map[int][]byte{}, next: f.next}
	for id, b := range f.data {
		c.data[id] = bytes.Clone(b)
	}
	return c
}

// change is one step.
func (f *fat) change(do func(f *fat)) error {
	if err := f.m.do(); err != nil {
		return err
	}
	f.pending = append(f.pending, do)
	do(f.view())
	return nil
}

func (f *fat) view() *fat {
	if f.seen == nil {
		f.seen = f.clone()
	}
	return f.seen
}

func (f *fat) sync() error {
	if err := f.m.do(); err != nil {
		return err
	}
	f.settle(func() bool { return true })
	return nil
}

func (f *fat) settle(keep func() bool) {
	for _, do := range f.pending {
		if keep() {
			do(f)
		}
	}
	f.pending, f.seen = nil, nil
}

func (f *fat) Files() (all []slot.File, err error) {
	for name, id := range f.view().names {
		all = append(all, slot.File{Name: name, Size: int64(len(f.view().data[id]))})
	}
	return all, nil
}

func (f *fat) Room() (int64, error) { return 64 << 10, nil }

type opened struct{ *bytes.Reader }

func (opened) Close() error { return nil }

func (f *fat) Open(name string) (slot.ReadCloserAt, error) {
	id, found := f.view().names[name]
	if !found {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return opened{bytes.NewReader(f.view().data[id])}, nil
}

func (f *fat) Write(name string, from io.Reader) error {
	f.next++
	id := f.next
	if err := f.change(func(f *fat) { f.names[name] = id }); err != nil {
		return err
	}
	b := make([]byte, 2*sector)
	for at := 0; ; {
		n, err := io.ReadFull(from, b)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if n > 0 {
			part, to := bytes.Clone(b[:n]), at
			if err := f.change(func(f *fat) {
				f.data[id] = append(f.data[id], make([]byte, max(0, to+len(part)-len(f.data[id])))...)
				copy(f.data[id][to:], part)
			}); err != nil {
				return err
			}
			at += n
		}
		if err != nil {
			return f.sync()
		}
	}
}

func (f *fat) Rename(from, to string) error {
	id, found := f.view().names[from]
	if !found {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	if err := f.change(func(f *fat) { f.names[to] = id }); err != nil {
		return err
	}
	if err := f.change(func(f *fat) { delete(f.names, from) }); err != nil {
		return err
	}
	return f.sync()
}

func (f *fat) Remove(name string) error {
	id, found := f.view().names[name]
	if !found {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err := f.change(func(f *fat) { delete(f.names, name) }); err != nil {
		return err
	}
	if err := f.change(func(f *fat) { delete(f.data, id) }); err != nil {
		return err
	}
	return f.sync()
}

// put is a file that has been there.
func (f *fat) put(name string, text []byte) {
	f.next++
	f.names[name], f.data[f.next] = f.next, text
}

// ways is how many kinds of loss are tried: all that there are, if these are few.
func (m *machine) ways(most int) int {
	n := len(m.root.pending) + len(m.hash.pending) + len(m.esp.pending)
	if n <= 4 {
		return 1 << n
	}
	return most
}

// cut settles everything as a loss of power might: each bit of kind is a change that
// is on the disk. If there are more, kind 0 loses all that was not synced, 1 loses
// nothing, others some, by chance.
func (m *machine) cut(kind int) {
	few := m.ways(0) > 0
	chance := rand.New(rand.NewPCG(uint64(m.step), uint64(kind)))
	n := -1
	keep := func() bool {
		switch n++; {
		case few:
			return kind>>n&1 == 1
		case kind < 2:
			return kind == 1
		}
		return chance.IntN(2) == 0
	}
	m.root.settle(keep)
	m.hash.settle(keep)
	m.esp.settle(keep)
	m.cutAt, m.fail = -1, -1
}

// entries are the UKIs in the order in which systemd-boot would have them: the first
// is booted. Those without tries left come last.
func (m *machine) entries() (all []slot.Entry) {
	for name := range m.esp.names {
		if e, ours := slot.ParseEntry(name); ours {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b slot.Entry) int {
		if x, y := a.Trial && a.Left == 0, b.Trial && b.Left == 0; x != y {
			if x {
				return 1
			}
			return -1
		}
		return slot.Compare(b.Version, a.Version)
	})
	return all
}
