package slot_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/images/slot/slottest"
)

func TestDevice(t *testing.T) {
	p, file := slottest.Partition(t, "root-b", 4<<20)
	d, err := slot.OpenDevice("/dev", p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Size() != 4<<20 {
		t.Errorf("%d octets", d.Size())
	}
	want := make([]byte, 1<<20+777)
	_, _ = rand.Read(want)
	if _, err := d.WriteAt(want, 4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text[4096:4096+len(want)], want) {
		t.Errorf("the disk has other octets, %v", err)
	}
	got := make([]byte, len(want))
	if _, err := d.ReadAt(got, 4096); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other octets are read, %v", err)
	}
	// What the disk has become is what is read, not what the kernel kept.
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("spoilt"), 4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadAt(got[:6], 4096); err != nil || string(got[:6]) != "spoilt" {
		t.Errorf("%q is read, %v", got[:6], err)
	}
	if _, err := d.WriteAt(want, 4<<20-100); err == nil {
		t.Error("written past the end")
	}
}

// A partition that is in use is not written.
func TestDeviceInUse(t *testing.T) {
	p, _ := slottest.Partition(t, "root-a", 4<<20)
	if out, err := exec.Command("mke2fs", "-q", "-F", "/dev/"+p.Device).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	at := t.TempDir()
	if err := unix.Mount("/dev/"+p.Device, at, "ext4", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	if _, err := slot.OpenDevice("/dev", p); err == nil || !strings.Contains(err.Error(), "partition root-a ("+p.Device+") is in use") {
		t.Error(err)
	}
	d, err := slot.ReadDevice("/dev", p)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// What is no partition, or another, is not opened.
func TestDeviceAnother(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vda4"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := slot.OpenDevice(dir, slot.Partition{Name: "root-b", Device: "vda4"}); err == nil || !strings.Contains(err.Error(), "another file is in its place") {
		t.Error(err)
	}
	if _, err := slot.OpenDevice(dir, slot.Partition{Name: "root-b", Device: "vda5"}); err == nil || !strings.Contains(err.Error(), "partition root-b: ") {
		t.Error(err)
	}
}

func TestDirectory(t *testing.T) {
	mount, p := slottest.ESP(t)
	d, err := slot.OpenDirectory(mount, p)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text := bytes.Repeat([]byte("a UKI "), 100000)
	if err := d.Write("linkseal_1.2.new", bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename("linkseal_1.2.new", "linkseal_1.2+3.efi"); err != nil {
		t.Fatal(err)
	}
	if err := d.Write("gone", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(mount, "EFI/Linux/linkseal_3.efi"), 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := d.Files()
	if err != nil || !slices.Equal(files, []slot.File{{Name: "linkseal_1.2+3.efi", Size: int64(len(text))}}) {
		t.Errorf("%v, %v", files, err)
	}
	f, err := d.Open("linkseal_1.2+3.efi")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, text) {
		t.Errorf("other octets are read, %v", err)
	}
	if room, err := d.Room(); err != nil || room <= 0 {
		t.Errorf("room for %d, %v", room, err)
	}
	if err := d.Write("../../x", strings.NewReader("x")); err == nil {
		t.Error("written above the directory")
	}
	p.Number++
	if _, err := slot.OpenDirectory(mount, p); err == nil || !strings.Contains(err.Error(), "not on the disk that was booted") {
		t.Error(err)
	}
	if _, err := slot.OpenDirectory(t.TempDir(), p); err == nil || !strings.Contains(err.Error(), "systemctl status efi.automount") {
		t.Error(err)
	}
}
