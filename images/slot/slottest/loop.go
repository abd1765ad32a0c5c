// Package slottest gives tests partitions and an EFI system partition that the
// kernel knows, loop devices, and FAT where this kernel has it; and a sysfs.
package slottest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// Loop has the kernel know a file as a block device until the test ends.
func Loop(t testing.TB, file string, options ...string) (device string) {
	t.Helper()
	probetest.NeedTool(t, "losetup")
	load()
	if _, err := os.Stat("/dev/loop-control"); err != nil || os.Getuid() != 0 {
		if probetest.InGuest() {
			t.Fatalf("the guest has no loop devices: %v", err)
		}
		t.Skipf("needs loop devices, and root: %v", err)
	}
	out, err := exec.Command("losetup", append(append([]string{"--find", "--show"}, options...), file)...).CombinedOutput()
	device = string(bytes.TrimSpace(out))
	if err != nil {
		t.Fatalf("losetup: %v: %s", err, device)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup: %v: %s", err, out)
		}
	})
	return device
}

// Partition is a partition on a file, which is returned too.
func Partition(t testing.TB, name string, size int64) (slot.Partition, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	device := Loop(t, file)
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		t.Fatal(err)
	}
	return slot.Partition{Name: name, Device: strings.TrimPrefix(device, "/dev/"), Size: size, Number: st.Rdev}, file
}

// ESP is one that is mounted, with /EFI/Linux: FAT, or a plain directory where the
// kernel has no FAT.
func ESP(t testing.TB) (mount string, p slot.Partition) {
	t.Helper()
	mount = t.TempDir()
	load()
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(known, []byte("\tvfat\n")) {
		p, _ = Partition(t, "esp", 64<<20)
		if out, err := exec.Command("mkfs.vfat", "-F", "32", "/dev/"+p.Device).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.vfat: %v: %s", err, out)
		}
		if err := unix.Mount("/dev/"+p.Device, mount, "vfat", 0, "umask=0077"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(mount, 0); err != nil {
				t.Error(err)
			}
		})
	} else {
		if probetest.InGuest() {
			t.Fatal("the guest has no FAT")
		}
		t.Log("this kernel has no FAT: the directory is a plain one")
		var st unix.Stat_t
		if err := unix.Stat(mount, &st); err != nil {
			t.Fatal(err)
		}
		p = slot.Partition{Name: "esp", Device: "none", Number: st.Dev}
	}
	if err := os.MkdirAll(filepath.Join(mount, "EFI/Linux"), 0o700); err != nil {
		t.Fatal(err)
	}
	return mount, p
}

// load has the kernel have what is a module of it. Not every kernel has these.
func load() { _ = exec.Command("modprobe", "-a", "-q", "loop", "ext4", "vfat").Run() }
