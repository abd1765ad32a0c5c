package mount

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/images/slot/slottest"
	features "github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestKind(t *testing.T) {
	at := func(offset int, magic string, more ...any) []byte {
		head := make([]byte, header)
		copy(head[offset:], magic)
		for i := 0; i < len(more); i += 2 {
			copy(head[more[i].(int):], more[i+1].(string))
		}
		return head
	}
	for want, heads := range map[string][][]byte{
		"":        {nil, make([]byte, header), at(0x1fe, "\x55\xaa"), at(0x8001, "CD00"), at(0x9001, "BEA01")},
		"ext4":    {at(0x438, "\x53\xef")},
		"vfat":    {at(0x1fe, "\x55\xaa", 0x52, "FAT32   "), at(0x1fe, "\x55\xaa", 0x36, "FAT16   ")},
		"iso9660": {at(0x8001, "CD001")},
		"udf":     {at(0x8001, "BEA01", 0x8801, "NSR02"), at(0x8001, "CD001", 0x8801, "BEA01", 0x9001, "NSR03")},
	} {
		for _, head := range heads {
			if got := Kind(head); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "is not a block device", "/dev/null": "is not a block device", file + "x": "no such file"} {
		if m, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, m, err)
		}
	}
}

// medium is a device with what mkfs makes of tree on it.
func medium(t *testing.T, mkfs string) string {
	t.Helper()
	dir := t.TempDir()
	tree, image := filepath.Join(dir, "tree"), filepath.Join(dir, "image")
	if err := os.MkdirAll(filepath.Join(tree, "keys"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"linkseal.yaml": "version: 1\n", "keys/link1.yaml": "keys: []\n"} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<20); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-euc", mkfs)
	c.Env = append(os.Environ(), "TREE="+tree, "IMAGE="+image)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return slottest.Loop(t, image, "--read-only")
}

// media are made as people make them, with a link where the file system has some.
var media = map[string]string{
	"ext4": `ln -s /etc/passwd "$TREE/link"; mkfs.ext4 -q -e panic -L LINKSEAL -d "$TREE" "$IMAGE"`,
	"vfat": `mkfs.vfat -n LINKSEAL "$IMAGE"; mcopy -s -i "$IMAGE" "$TREE/linkseal.yaml" "$TREE/keys" ::`,
}

func TestOpen(t *testing.T) {
	probetest.Need(t, features.CapSysAdmin)
	probetest.NeedTool(t, "mkfs.ext4", "mkfs.vfat", "mcopy")
	tried := 0
	for kind, mkfs := range media {
		device := medium(t, mkfs)
		m, err := Open(device)
		if errors.Is(err, unix.ENODEV) {
			if probetest.InGuest() {
				t.Errorf("the guest has no %s", kind)
			}
			t.Logf("this kernel has no %s", kind)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		tried++
		look(t, kind, device, m.FS())
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if tried == 0 {
		t.Error("this kernel has none of the file systems")
	}
}

func look(t *testing.T, kind, device string, from fs.FS) {
	t.Helper()
	for name, want := range map[string]string{"linkseal.yaml": "version: 1\n", "keys/link1.yaml": "keys: []\n"} {
		if got, err := fs.ReadFile(from, name); err != nil || string(got) != want {
			t.Errorf("%s: %s: %q, %v", kind, name, got, err)
		}
	}
	if kind == "ext4" {
		// The superblock says panic.
		if is, err := os.ReadFile(filepath.Join("/proc/fs/ext4", filepath.Base(device), "options")); err != nil || !bytes.Contains(is, []byte("errors=continue\n")) {
			t.Errorf("%v: mounted with\n%s", err, is)
		}
		if info, err := fs.Lstat(from, "link"); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%v, %v", info, err)
		}
	}
	if got, err := fs.ReadFile(from, "link"); err == nil {
		t.Errorf("a link is followed: %q", got)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || bytes.Contains(mounts, []byte(device+" ")) {
		t.Errorf("%s: it is attached somewhere, %v", kind, err)
	}
}

// What a medium says of errors does not count.
func TestOptions(t *testing.T) {
	for _, kind := range []string{"ext4", "vfat", "iso9660", "udf"} {
		flags, values := options(kind)
		if !slices.Contains(flags, "ro") {
			t.Errorf("%s is not mounted ro", kind)
		}
		if (kind == "ext4" || kind == "vfat") && values["errors"] != "continue" {
			t.Errorf("%s is mounted with %v", kind, values)
		}
	}
}

func FuzzKind(f *testing.F) {
	f.Add(make([]byte, header))
	f.Fuzz(func(t *testing.T, head []byte) { Kind(head) })
}
