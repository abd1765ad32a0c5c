package update

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"slices"

	"github.com/linkseal/linkseal/images/bundle"
	"github.com/linkseal/linkseal/images/part"
	"github.com/linkseal/linkseal/images/slot"
)

// Device is a partition of the other slot. What was written is on the disk when Sync
// returns, and read from there after.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Size() int64
	Sync() error
}

// Volume is systemd-boot's directory on the EFI system partition. What Write, Rename
// and Remove did is on the disk when they return; Open reads from there.
type Volume interface {
	slot.Reader
	Room() (int64, error)
	Write(name string, from io.Reader) error
	Rename(from, to string) error
	Remove(name string) error
}

// Target is what Install writes to.
type Target struct {
	Running      Running
	Slot         string // the other one's name
	Root, Verity Device // its partitions
	ESP          Volume
	// Remember is called when the update is found good, before anything is changed:
	// what it keeps is what image health and image status compare with.
	Remember func(*bundle.Manifest) error
	Say      func(format string, args ...any)
}

// chunk is how much is written at once.
const chunk = 1 << 20

// Install installs the update in file, and returns its manifest.
func Install(file io.ReadSeeker, key bundle.Key, t *Target) (*bundle.Manifest, error) {
	b, err := bundle.Open(file, key)
	if err != nil {
		return nil, err
	}
	m := &b.Manifest
	ukis, left, err := slot.Contents(t.ESP)
	if err != nil {
		return nil, err
	}
	room, err := t.ESP.Room()
	if err != nil {
		return nil, fmt.Errorf("EFI system partition: %w", err)
	}
	left = slices.DeleteFunc(left, func(f slot.File) bool { return t.Running.named(f.Name) })
	for _, f := range left {
		room += f.Size // they will be removed
	}
	if err := judge(m, t.Running, ukis, t.Root.Size(), t.Verity.Size(), room); err != nil {
		return nil, err
	}
	if err := b.Check(); err != nil {
		return nil, err
	}
	t.Say("version %s: signed by key %016X, all of the file is as signed", m.Version, key.ID())
	if err := t.Remember(m); err != nil {
		return nil, err
	}
	if err := t.clear(ukis, left); err != nil {
		return nil, fmt.Errorf("slot %s: %w; version %s, which runs, was not touched", t.Slot, err, t.Running.Version)
	}
	if err := t.write(file, key, m); err != nil {
		return nil, fmt.Errorf("slot %s: %w; the slot is empty now, version %s, which runs, was not touched", t.Slot, err, t.Running.Version)
	}
	if err := t.ESP.Rename(slot.Temporary(m.Version), slot.OnTrial(m.Version)); err != nil {
		return nil, fmt.Errorf("slot %s: version %s is written, and whether it is booted next is not known: %w; linkseal image status tells, or install it again", t.Slot, m.Version, err)
	}
	t.Say("slot %s: version %s is installed, and booted next: %d tries until image health finds it good", t.Slot, m.Version, slot.Tries)
	return m, nil
}

// clear has the other slot booted by nothing, and makes room.
func (t *Target) clear(ukis []slot.UKI, left []slot.File) error {
	for _, u := range ukis {
		if u.Err == nil && u.Boot == t.Running.Boot {
			continue // it runs
		}
		t.Say("slot %s: version %s is removed (%s)", t.Slot, u.Version, u.Name)
		// FAT may lose a file's clusters before its name: a name that does not
		// boot is on the disk before that can be.
		gone := slot.Retired(u.Version)
		if err := t.ESP.Rename(u.Name, gone); err != nil {
			return err
		}
		if err := t.ESP.Remove(gone); err != nil {
			return err
		}
	}
	// Last, for a rename that was cut may have left a file both its names.
	for _, f := range left {
		if err := t.ESP.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// write writes the parts, the UKI at last and under its temporary name.
func (t *Target) write(file io.ReadSeeker, key bundle.Key, m *bundle.Manifest) (err error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b, err := bundle.Open(file, key)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(b.Manifest, *m) {
		return errors.New("the file has become another while it was read")
	}
	temporary := slot.Temporary(m.Version)
	defer func() {
		if err != nil {
			_ = t.ESP.Remove(temporary) // it may not be there
		}
	}()
	return b.Each(func(p bundle.Part, r io.Reader) error {
		switch p.Name {
		case part.Root:
			return t.fill(t.Root, p, r)
		case part.Verity:
			return t.fill(t.Verity, p, r)
		}
		if err := t.ESP.Write(temporary, r); err != nil {
			return fmt.Errorf("%s: %w", temporary, err)
		}
		f, err := t.ESP.Open(temporary)
		if err != nil {
			return fmt.Errorf("%s: %w", temporary, err)
		}
		defer f.Close()
		return t.compare(f, p)
	})
}

// fill writes a partition, and reads it back.
func (t *Target) fill(d Device, p bundle.Part, r io.Reader) error {
	t.Say("slot %s: %s, %d MiB", t.Slot, p.Name, p.Size>>20)
	if _, err := io.CopyBuffer(onlyWriter{io.NewOffsetWriter(d, 0)}, r, make([]byte, chunk)); err != nil {
		return fmt.Errorf("write %s: %w", p.Name, err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", p.Name, err)
	}
	return t.compare(io.NewSectionReader(d, 0, p.Size), p)
}

// onlyWriter has io.CopyBuffer use its buffer.
type onlyWriter struct{ io.Writer }

// compare reads back what was written.
func (t *Target) compare(r io.Reader, p bundle.Part) error {
	sum := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{sum}, io.LimitReader(r, p.Size+1), make([]byte, chunk))
	if err != nil {
		return fmt.Errorf("read %s back: %w", p.Name, err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return fmt.Errorf("read %s back: of %d octets, %d came and are not what was written; the disk is failing: replace it", p.Name, p.Size, n)
	}
	return nil
}
