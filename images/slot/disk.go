package slot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Disk is the disk that the running root is on.
type Disk struct {
	Running, Other Slot
	ESP            Partition
	Verified       Mapped // the running root
}

// Mapped is /dev/mapper/root.
type Mapped struct {
	UUID   string // CRYPT-VERITY-, and then the hash tree's
	Number uint64 // the device number

	below []string // names of block devices
}

// Slot is one of the two.
type Slot struct {
	Name         string // a or b
	Root, Verity Partition
}

// Partition is one of a disk's.
type Partition struct {
	Name   string // in the partition table
	Device string // its name in /dev
	Size   int64
	Number uint64 // the device number

	disk string
}

// ErrNoImage says that the machine does not run an appliance image.
var ErrNoImage = errors.New("this machine does not run linkseal's appliance image; on your own Debian, linkseal is updated as the package that it is")

// Find looks for the device that is named root among the mapped ones in sysfs (at
// sys), and for the partitions of the disk below it.
func Find(sys string) (d Disk, err error) {
	class := filepath.Join(sys, "class/block")
	if d.Verified, err = verified(class); err != nil {
		return d, err
	}
	below := d.Verified.below
	all, err := partitions(class)
	if err != nil {
		return d, err
	}
	for _, name := range below {
		p, found := all[name]
		if !found {
			return d, fmt.Errorf("/dev/mapper/root is on %s, which is no named partition; %w", name, ErrNoImage)
		}
		switch p.Name {
		case "root-a", "root-b":
			d.Running.Name, d.Running.Root = strings.TrimPrefix(p.Name, "root-"), p
		}
	}
	switch d.Running.Name {
	case "a":
		d.Other.Name = "b"
	case "b":
		d.Other.Name = "a"
	default:
		return d, fmt.Errorf("/dev/mapper/root is on %s, and none is root-a or root-b; %w", strings.Join(below, ", "), ErrNoImage)
	}
	for name, p := range map[string]*Partition{
		"root-" + d.Running.Name + "-verity": &d.Running.Verity,
		"root-" + d.Other.Name:               &d.Other.Root,
		"root-" + d.Other.Name + "-verity":   &d.Other.Verity,
		"esp":                                &d.ESP,
	} {
		if *p, err = one(all, d.Running.Root.disk, name); err != nil {
			return d, err
		}
	}
	return d, nil
}

// Verify asks the kernel: what is mounted at root is the mapped device, which is
// dm-verity's, of the hash tree that the kernel's command line names. That came with
// the signed UKI.
func (d *Disk) Verify(root, verity string) error {
	if want := "CRYPT-VERITY-" + strings.ReplaceAll(verity, "-", ""); !strings.HasPrefix(d.Verified.UUID, want+"-") {
		return fmt.Errorf("/dev/mapper/root is %s, and the kernel's command line names %s", d.Verified.UUID, want)
	}
	var st unix.Stat_t
	if err := unix.Stat(root, &st); err != nil {
		return fmt.Errorf("%s: %w", root, err)
	}
	if st.Dev != d.Verified.Number {
		return fmt.Errorf("%s is not on /dev/mapper/root", root)
	}
	return nil
}

// one finds the partition by its name on the disk: another disk may be a copy.
func one(all map[string]Partition, disk, name string) (p Partition, err error) {
	for _, q := range all {
		if q.disk != disk || q.Name != name {
			continue
		}
		if p.Name != "" {
			return p, fmt.Errorf("disk %s has two partitions %s: %s and %s; nothing is changed on it", disk, name, p.Device, q.Device)
		}
		p = q
	}
	if p.Name == "" {
		return p, fmt.Errorf("disk %s has no partition %s; write the image to it anew", disk, name)
	}
	return p, nil
}

// verified finds /dev/mapper/root, if that is dm-verity's.
func verified(class string) (m Mapped, err error) {
	all, err := os.ReadDir(class)
	if err != nil {
		return m, err
	}
	for _, e := range all {
		dir := filepath.Join(class, e.Name())
		if name, _ := line(filepath.Join(dir, "dm/name")); name != "root" {
			continue
		}
		if m.UUID, _ = line(filepath.Join(dir, "dm/uuid")); !strings.HasPrefix(m.UUID, "CRYPT-VERITY-") {
			return m, fmt.Errorf("/dev/mapper/root is not verified: its device is %q; %w", m.UUID, ErrNoImage)
		}
		p, err := readEvent(dir)
		if err != nil {
			return m, err
		}
		m.Number = p.Number
		slaves, err := os.ReadDir(filepath.Join(dir, "slaves"))
		for _, s := range slaves {
			m.below = append(m.below, s.Name())
		}
		return m, err
	}
	return m, fmt.Errorf("there is no /dev/mapper/root; %w", ErrNoImage)
}

// partitions are all that have a name, by that of their device.
func partitions(class string) (map[string]Partition, error) {
	all, err := os.ReadDir(class)
	if err != nil {
		return nil, err
	}
	found := map[string]Partition{}
	for _, e := range all {
		dir := filepath.Join(class, e.Name())
		p, err := partition(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it went away meanwhile
		case err != nil:
			return nil, err
		case p.Name != "":
			found[e.Name()] = p
		}
	}
	return found, nil
}

func partition(dir string) (p Partition, err error) {
	if p, err = readEvent(dir); err != nil || p.Name == "" {
		return p, err
	}
	sectors, err := line(filepath.Join(dir, "size"))
	if err != nil {
		return p, err
	}
	n, err := strconv.ParseInt(sectors, 10, 54)
	if err != nil {
		return p, fmt.Errorf("%s/size: %w", dir, err)
	}
	p.Size = n * 512 // whatever the disk's sectors are
	real, err := filepath.EvalSymlinks(dir)
	p.disk = filepath.Base(filepath.Dir(real))
	return p, err
}

// readEvent reads what the kernel tells udev of a block device.
func readEvent(dir string) (p Partition, err error) {
	f, err := os.Open(filepath.Join(dir, "uevent"))
	if err != nil {
		return p, err
	}
	defer f.Close()
	var major, minor uint64
	for s := bufio.NewScanner(io.LimitReader(f, 64<<10)); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), "=")
		switch name {
		case "PARTNAME":
			p.Name = value
		case "DEVNAME":
			p.Device = value
		case "MAJOR":
			major, err = strconv.ParseUint(value, 10, 32)
		case "MINOR":
			minor, err = strconv.ParseUint(value, 10, 32)
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", f.Name(), err)
		}
	}
	p.Number = unix.Mkdev(uint32(major), uint32(minor))
	return p, nil
}

// line reads a file of sysfs that has one.
func line(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimSpace(string(text)), err
}
