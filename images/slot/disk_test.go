package slot_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot"
)

// tree is a sysfs of block devices.
type tree struct {
	t   *testing.T
	sys string
}

func (s tree) write(path, text string) {
	s.t.Helper()
	path = filepath.Join(s.sys, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s tree) link(device string) {
	s.t.Helper()
	class := filepath.Join(s.sys, "class/block")
	if err := errors.Join(os.MkdirAll(class, 0o755), os.Symlink(filepath.Join("../..", device), filepath.Join(class, filepath.Base(device)))); err != nil {
		s.t.Fatal(err)
	}
}

// disk has the partitions named, at 1 MiB each.
func (s tree) disk(name string, major int, partitions ...string) {
	at := "devices/pci0000:00/" + name + "/block/" + name
	s.write(at+"/uevent", fmt.Sprintf("MAJOR=%d\nMINOR=0\nDEVNAME=%s\nDEVTYPE=disk\n", major, name))
	s.link(at)
	for i, p := range partitions {
		part := fmt.Sprintf("%s/%s%d", at, name, i+1)
		s.write(part+"/uevent", fmt.Sprintf("MAJOR=%d\nMINOR=%d\nDEVNAME=%s%d\nDEVTYPE=partition\nPARTN=%d\nPARTNAME=%s\n", major, i+1, name, i+1, i+1, p))
		s.write(part+"/size", "2048\n")
		s.link(part)
	}
}

func (s tree) mapped(name, uuid string, on ...string) {
	s.write("devices/virtual/block/dm-0/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=dm-0\nDEVTYPE=disk\n")
	s.write("devices/virtual/block/dm-0/dm/name", name+"\n")
	s.write("devices/virtual/block/dm-0/dm/uuid", uuid+"\n")
	for _, d := range on {
		s.write("devices/virtual/block/dm-0/slaves/"+d, "")
	}
	s.link("devices/virtual/block/dm-0")
}

var whole = []string{"esp", "root-a", "root-a-verity", "root-b", "root-b-verity", "var"}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(s tree)
		running string
		want    string // of the error
	}{
		"slot a": {func(s tree) { s.disk("vda", 253, whole...); s.mapped("root", "CRYPT-VERITY-00aa-root", "vda2", "vda3") }, "a", ""},
		"slot b": {func(s tree) { s.disk("vda", 253, whole...); s.mapped("root", "CRYPT-VERITY-00aa-root", "vda4", "vda5") }, "b", ""},
		"a copy of the disk beside it": {func(s tree) {
			s.disk("sda", 8, whole...)
			s.disk("vda", 253, whole...)
			s.mapped("root", "CRYPT-VERITY-00aa-root", "vda4", "vda5")
		}, "b", ""},
		"nothing mapped":          {func(s tree) { s.disk("vda", 253, whole...) }, "", "there is no /dev/mapper/root"},
		"another's mapped device": {func(s tree) { s.disk("vda", 253, whole...); s.mapped("home", "LVM-1", "vda6") }, "", "there is no /dev/mapper/root"},
		"not verified":            {func(s tree) { s.disk("vda", 253, whole...); s.mapped("root", "CRYPT-LUKS2-1", "vda2") }, "", "is not verified"},
		"on another partition":    {func(s tree) { s.disk("vda", 253, whole...); s.mapped("root", "CRYPT-VERITY-1", "vda6") }, "", "none is root-a or root-b"},
		"on no partition":         {func(s tree) { s.disk("vda", 253, whole...); s.mapped("root", "CRYPT-VERITY-1", "sdq") }, "", "on sdq, which is no named partition"},
		"no other slot":           {func(s tree) { s.disk("vda", 253, whole[:3]...); s.mapped("root", "CRYPT-VERITY-1", "vda2") }, "", "disk vda has no partition root-b"},
		"two other slots": {func(s tree) {
			s.disk("vda", 253, append(whole, "root-b")...)
			s.mapped("root", "CRYPT-VERITY-1", "vda2")
		}, "", "disk vda has two partitions root-b: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := tree{t, t.TempDir()}
			c.make(s)
			d, err := slot.Find(s.sys)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v; want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			other := map[string]string{"a": "b", "b": "a"}[c.running]
			if d.Running.Name != c.running || d.Other.Name != other || d.Other.Root.Name != "root-"+other || d.Other.Verity.Name != "root-"+other+"-verity" {
				t.Errorf("%+v", d)
			}
			for _, p := range []slot.Partition{d.Running.Root, d.Running.Verity, d.Other.Root, d.Other.Verity, d.ESP} {
				if !strings.HasPrefix(p.Device, "vda") || p.Size != 1<<20 {
					t.Errorf("%+v", p)
				}
			}
			if d.ESP.Number != unix.Mkdev(253, 1) || d.Verified.Number != unix.Mkdev(254, 0) || d.Verified.UUID != "CRYPT-VERITY-00aa-root" {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestSecureBoot(t *testing.T) {
	const name = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	for what, c := range map[string]struct {
		make func(s tree)
		want string // or in the error
	}{
		"on":             {func(s tree) { s.write(name, "\x06\x00\x00\x00\x01") }, slot.On},
		"off":            {func(s tree) { s.write(name, "\x06\x00\x00\x00\x00") }, slot.Off},
		"unknown to it":  {func(s tree) { s.write("firmware/efi/efivars/Boot0000-x", "") }, slot.Off},
		"BIOS":           {func(s tree) { s.write("firmware/acpi", "") }, slot.NoUEFI},
		"not mounted":    {func(s tree) { s.write("firmware/efi/runtime", "") }, "mount efivarfs"},
		"another length": {func(s tree) { s.write(name, "\x01") }, "1 octets"},
	} {
		s := tree{t, t.TempDir()}
		c.make(s)
		got, err := slot.SecureBoot(s.sys)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
