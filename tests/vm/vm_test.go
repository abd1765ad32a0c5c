package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/tests/vm/wire"
)

// Every header is 110 octets of ASCII, and names and data end on a multiple of
// four from the start of the archive.
func TestArchive(t *testing.T) {
	a := newArchive()
	a.file("modules/x.ko", []byte("abcde"))
	a.file("modules/y.ko", nil)
	a.char("dev/console", 5, 1)
	b := a.bytes()
	var names []string
	for off := 0; off < len(b); {
		var f [13]int
		head := string(b[off : off+110])
		if !strings.HasPrefix(head, "070701") {
			t.Fatalf("offset %d: magic %q", off, head[:6])
		}
		for i := range f {
			if _, err := fmt.Sscanf(head[6+8*i:14+8*i], "%x", &f[i]); err != nil {
				t.Fatal(err)
			}
		}
		size, nameSize := f[6], f[11]
		name := string(b[off+110 : off+110+nameSize-1])
		data := (off + 110 + nameSize + 3) &^ 3
		names = append(names, fmt.Sprintf("%s %o %q %d:%d", name, f[1], b[data:data+size], f[9], f[10]))
		off = (data + size + 3) &^ 3
	}
	want := []string{
		`modules 40755 "" 0:0`, `modules/x.ko 100755 "abcde" 0:0`, `modules/y.ko 100755 "" 0:0`,
		`dev 40755 "" 0:0`, `dev/console 20600 "" 5:1`, `TRAILER!!! 0 "" 0:0`,
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestModuleOrder(t *testing.T) {
	dir := t.TempDir()
	const dep = `kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko
kernel/net/9p/9pnet.ko:
kernel/fs/netfs/netfs.ko:
kernel/net/9p/9pnet-virtio.ko.xz: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
`
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := readModuleDeps(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range d.order("9pnet_virtio", "9p", "built_in") {
		got = append(got, moduleName(p))
	}
	if diff := cmp.Diff([]string{"virtio", "virtio_ring", "9pnet", "9pnet_virtio", "netfs", "9p"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestFollow(t *testing.T) {
	frames := func(f func(w *wire.Writer)) io.Reader {
		var b bytes.Buffer
		f(wire.NewWriter(&b))
		return &b
	}
	for _, c := range []struct {
		name string
		in   io.Reader
		log  string
		err  string // "" is none
	}{
		{"two jobs", frames(func(w *wire.Writer) {
			w.Frame(wire.Ready, nil)
			w.Frame(wire.Stdout, []byte("a"))
			w.JSON(wire.Exit, wire.Status{Job: 0})
			w.Frame(wire.Stderr, []byte("b"))
			w.JSON(wire.Exit, wire.Status{Job: 1, Code: 3})
		}), "ready;out 0 a;done 0 0;err 1 b;done 1 3;", ""},
		{"the guest dies", frames(func(w *wire.Writer) {
			w.Frame(wire.Ready, nil)
			w.JSON(wire.Exit, wire.Status{Job: 0})
		}), "ready;done 0 0;", "it ended before job 1 did: EOF"},
		{"the guest gives up", frames(func(w *wire.Writer) {
			w.Frame(wire.Fatal, []byte("no overlay"))
		}), "", "no overlay"},
		{"a status twice", frames(func(w *wire.Writer) {
			w.JSON(wire.Exit, wire.Status{Job: 0})
			w.JSON(wire.Exit, wire.Status{Job: 0})
		}), "done 0 0;", "status of job 0, want of 1"},
	} {
		var log strings.Builder
		g := &Guest{
			Jobs:   make([]wire.Job, 2),
			Ready:  func(time.Duration) { log.WriteString("ready;") },
			Stdout: func(n int, p []byte) { fmt.Fprintf(&log, "out %d %s;", n, p) },
			Stderr: func(n int, p []byte) { fmt.Fprintf(&log, "err %d %s;", n, p) },
			Done:   func(s wire.Status) { fmt.Fprintf(&log, "done %d %d;", s.Job, s.Code) },
		}
		err := g.follow(c.in, time.Now())
		if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %v; want %q", c.name, err, c.err)
		}
		if log.String() != c.log {
			t.Errorf("%s: %q; want %q", c.name, log.String(), c.log)
		}
	}
}

func TestDecompressRefuses(t *testing.T) {
	if _, err := decompress(t.Context(), []byte("MZ no kernel")); err == nil {
		t.Error("a file without an xz stream passes")
	}
	if _, err := openKernel(t.TempDir()); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory as kernel: %v", err)
	}
}

func TestUnsign(t *testing.T) {
	content := []byte("\x7fELF, what is signed")
	const signed = "0123456789" // the signature itself: 10 octets
	info := []byte{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(signed))}
	whole := slices.Concat(content, []byte(signed), info, []byte(signatureMark))
	dir := t.TempDir()
	for name, in := range map[string][]byte{"signed.ko": whole, "unsigned.ko": content, "empty.ko": nil, "other": whole} {
		if err := os.WriteFile(filepath.Join(dir, name), in, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := unsign(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string][]byte{"signed.ko": content, "unsigned.ko": content, "empty.ko": {}, "other": whole} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	// A length that is a lie ends it, and nothing says that it is done.
	info[11] = 255
	lie := t.TempDir()
	if err := os.WriteFile(filepath.Join(lie, "m.ko"), slices.Concat(content, info, []byte(signatureMark)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unsign(lie); err == nil || fileExists(filepath.Join(lie, "unsigned")) {
		t.Errorf("a signature longer than its file: %v", err)
	}
}
