package slot_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/images/slot/slottest"
)

var whole = []string{"esp", "root-a", "root-a-verity", "root-b", "root-b-verity", "var"}

func TestFind(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(s slottest.Sys)
		running string
		want    string // of the error
	}{
		"slot a": {func(s slottest.Sys) {
			s.Disk("vda", 253, whole...)
			s.Mapped("root", "CRYPT-VERITY-00aa-root", "vda2", "vda3")
		}, "a", ""},
		"slot b": {func(s slottest.Sys) {
			s.Disk("vda", 253, whole...)
			s.Mapped("root", "CRYPT-VERITY-00aa-root", "vda4", "vda5")
		}, "b", ""},
		"a copy of the disk beside it": {func(s slottest.Sys) {
			s.Disk("sda", 8, whole...)
			s.Disk("vda", 253, whole...)
			s.Mapped("root", "CRYPT-VERITY-00aa-root", "vda4", "vda5")
		}, "b", ""},
		"nothing mapped":          {func(s slottest.Sys) { s.Disk("vda", 253, whole...) }, "", "there is no /dev/mapper/root"},
		"another's mapped device": {func(s slottest.Sys) { s.Disk("vda", 253, whole...); s.Mapped("home", "LVM-1", "vda6") }, "", "there is no /dev/mapper/root"},
		"not verified":            {func(s slottest.Sys) { s.Disk("vda", 253, whole...); s.Mapped("root", "CRYPT-LUKS2-1", "vda2") }, "", "is not verified"},
		"on another partition":    {func(s slottest.Sys) { s.Disk("vda", 253, whole...); s.Mapped("root", "CRYPT-VERITY-1", "vda6") }, "", "none is root-a or root-b"},
		"on no partition":         {func(s slottest.Sys) { s.Disk("vda", 253, whole...); s.Mapped("root", "CRYPT-VERITY-1", "sdq") }, "", "on sdq, which is no named partition"},
		"no other slot":           {func(s slottest.Sys) { s.Disk("vda", 253, whole[:3]...); s.Mapped("root", "CRYPT-VERITY-1", "vda2") }, "", "disk vda has no partition root-b"},
		"two other slots": {func(s slottest.Sys) {
			s.Disk("vda", 253, append(whole, "root-b")...)
			s.Mapped("root", "CRYPT-VERITY-1", "vda2")
		}, "", "disk vda has two partitions root-b: "},
	} {
		t.Run(name, func(t *testing.T) {
			s := slottest.Sys{T: t, Dir: t.TempDir()}
			c.make(s)
			d, err := slot.Find(s.Dir)
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

func TestVerify(t *testing.T) {
	var st unix.Stat_t
	root := t.TempDir()
	if err := unix.Stat(root, &st); err != nil {
		t.Fatal(err)
	}
	d := slot.Disk{Verified: slot.Mapped{UUID: "CRYPT-VERITY-00aa-root", Number: st.Dev}}
	if err := d.Verify(root, "00-aa"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ root, verity, want string }{
		{root, "00-ab", "is CRYPT-VERITY-00aa-root, and the kernel's command line names CRYPT-VERITY-00ab"},
		{root, "00-a", "names CRYPT-VERITY-00a"}, // another's beginning
		{root, "", "names CRYPT-VERITY-"},
		{"/proc", "00-aa", "/proc is not on /dev/mapper/root"},
		{root + "/none", "00-aa", "/none: no such file"},
	} {
		if err := d.Verify(c.root, c.verity); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestSecureBoot(t *testing.T) {
	const name = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
	for what, c := range map[string]struct {
		make func(s slottest.Sys)
		want string // or in the error
	}{
		"on":             {func(s slottest.Sys) { s.Write(name, "\x06\x00\x00\x00\x01") }, slot.On},
		"off":            {func(s slottest.Sys) { s.Write(name, "\x06\x00\x00\x00\x00") }, slot.Off},
		"unknown to it":  {func(s slottest.Sys) { s.Write("firmware/efi/efivars/Boot0000-x", "") }, slot.Off},
		"BIOS":           {func(s slottest.Sys) { s.Write("firmware/acpi", "") }, slot.NoUEFI},
		"not mounted":    {func(s slottest.Sys) { s.Write("firmware/efi/runtime", "") }, "mount efivarfs"},
		"another length": {func(s slottest.Sys) { s.Write(name, "\x01") }, "1 octets"},
	} {
		s := slottest.Sys{T: t, Dir: t.TempDir()}
		c.make(s)
		got, err := slot.SecureBoot(s.Dir)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}
