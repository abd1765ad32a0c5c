package slottest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot"
)

// Sys is a sysfs of block devices in a directory.
type Sys struct {
	T   testing.TB
	Dir string
}

// Write writes a file of it.
func (s Sys) Write(path, text string) {
	s.T.Helper()
	path = filepath.Join(s.Dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		s.T.Fatal(err)
	}
}

func (s Sys) link(device string) {
	s.T.Helper()
	class := filepath.Join(s.Dir, "class/block")
	if err := errors.Join(os.MkdirAll(class, 0o755), os.Symlink(filepath.Join("../..", device), filepath.Join(class, filepath.Base(device)))); err != nil {
		s.T.Fatal(err)
	}
}

// Disk has partitions of those names, of 1 MiB each.
func (s Sys) Disk(name string, major int, partitions ...string) {
	var all []slot.Partition
	for i, p := range partitions {
		all = append(all, slot.Partition{Name: p, Device: fmt.Sprintf("%s%d", name, i+1), Size: 1 << 20, Number: unix.Mkdev(uint32(major), uint32(i+1))})
	}
	s.Partitions(name, all...)
}

// Partitions are those of a disk.
func (s Sys) Partitions(disk string, partitions ...slot.Partition) {
	at := "devices/pci0000:00/" + disk + "/block/" + disk
	s.Write(at+"/uevent", "MAJOR=253\nMINOR=0\nDEVNAME="+disk+"\nDEVTYPE=disk\n")
	s.link(at)
	for i, p := range partitions {
		part := at + "/" + p.Device
		s.Write(part+"/uevent", fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s\nDEVTYPE=partition\nPARTN=%d\nPARTNAME=%s\n", unix.Major(p.Number), unix.Minor(p.Number), p.Device, i+1, p.Name))
		s.Write(part+"/size", fmt.Sprintf("%d\n", p.Size/512))
		s.link(part)
	}
}

// Mapped is a mapped device, dm-0, on others.
func (s Sys) Mapped(name, uuid string, on ...string) {
	const at = "devices/virtual/block/dm-0"
	s.Write(at+"/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=dm-0\nDEVTYPE=disk\n")
	s.Write(at+"/dm/name", name+"\n")
	s.Write(at+"/dm/uuid", uuid+"\n")
	for _, d := range on {
		s.Write(at+"/slaves/"+d, "")
	}
	s.link(at)
}
