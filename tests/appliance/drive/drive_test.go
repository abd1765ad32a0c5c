package drive

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func newDrive(t *testing.T, base []byte, size int64) *Drive {
	t.Helper()
	return seeded(t, base, size, 1)
}

func seeded(t *testing.T, base []byte, size int64, seed uint64) *Drive {
	t.Helper()
	d, err := New(bytes.NewReader(base), size, filepath.Join(t.TempDir(), "own"), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func (d *Drive) mustRead(t *testing.T, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := d.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

// What was flushed or written through stays; of the rest each page is as it was
// or as it became, and with many of both kinds there are both.
func TestCut(t *testing.T) {
	base := bytes.Repeat([]byte{'b'}, 256*Page)
	d := newDrive(t, base, 512*Page)
	old := bytes.Repeat([]byte{'o'}, 128*Page+100)
	if err := d.writeAt(old, 50, false); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := d.writeAt([]byte("through"), 300*Page, true); err != nil {
		t.Fatal(err)
	}
	if err := d.writeAt(bytes.Repeat([]byte{'n'}, 128*Page), 0, false); err != nil {
		t.Fatal(err)
	}
	if got := d.mustRead(t, 0, 128*Page); bytes.Count(got, []byte{'n'}) != len(got) {
		t.Error("a write in the cache is not read back")
	}
	lost, err := d.Cut()
	if err != nil {
		t.Fatal(err)
	}
	if lost < 30 || lost > 98 {
		t.Errorf("of 128 pages in the cache %d were lost", lost)
	}
	if got := d.mustRead(t, 300*Page, 7); string(got) != "through" {
		t.Errorf("written through: %q", got)
	}
	n, o := 0, 0
	for page := range int64(128) {
		switch got := d.mustRead(t, page*Page+60, Page-60); {
		case bytes.Count(got, []byte{'n'}) == len(got):
			n++
		case bytes.Count(got, []byte{'o'}) == len(got):
			o++
		default:
			t.Errorf("page %d is torn", page)
		}
	}
	if o != lost || n+o != 128 {
		t.Errorf("%d pages are new, %d old; %d were lost", n, o, lost)
	}
	if got := d.mustRead(t, 129*Page+200, Page); bytes.Count(got, []byte{'b'}) != Page {
		t.Error("the base is not read where nothing was written")
	}
	if err := d.writeAt([]byte{1}, d.Size(), false); err == nil {
		t.Error("a write behind the end is taken")
	}
}

// What is lost is the seed's doing: two drives with one seed lose the same pages, of
// those that have gone through a full cache too, and with another seed others.
func TestSeed(t *testing.T) {
	const size = 4 * cachePages * Page
	after := func(seed uint64) []byte {
		d := seeded(t, nil, size, seed)
		for n := range byte(3) {
			if err := d.writeAt(bytes.Repeat([]byte{1 + n}, 2*cachePages*Page), int64(n)*cachePages*Page, false); err != nil {
				t.Fatal(err)
			}
			if lost, err := d.Cut(); err != nil || lost == 0 {
				t.Fatalf("%d pages were lost, %v", lost, err)
			}
		}
		return d.mustRead(t, 0, size)
	}
	one := after(1)
	if !bytes.Equal(one, after(1)) {
		t.Error("two drives with one seed lost different pages")
	}
	if bytes.Equal(one, after(2)) {
		t.Error("two drives with different seeds lost the same pages")
	}
}

// The cache is bounded: what is more than it holds goes to the medium.
func TestBounded(t *testing.T) {
	d := newDrive(t, nil, 4*cachePages*Page)
	if err := d.writeAt(bytes.Repeat([]byte{1}, 3*cachePages*Page), 0, false); err != nil {
		t.Fatal(err)
	}
	if len(d.cache) > cachePages {
		t.Errorf("%d pages in a cache of %d", len(d.cache), cachePages)
	}
}

// QEMU's client reads and writes it.
func TestQEMU(t *testing.T) {
	probetest.NeedTool(t, "qemu-io")
	d := newDrive(t, bytes.Repeat([]byte{7}, 1<<20), 8<<20)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go d.Serve(l)
	out, err := exec.Command("qemu-io", "-f", "raw", "-c", "read -P 7 0 1M", "-c", "write -P 9 4096 64k", "-c", "flush",
		"-c", "write -z 1M 64k", "-c", "write -f -P 3 2M 512", "-c", "read -P 9 4096 64k", "nbd+unix:///?socket="+socket).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("failed")) {
		t.Fatalf("%v: %s", err, out)
	}
	if got := d.mustRead(t, 4096, 64<<10); bytes.Count(got, []byte{9}) != len(got) {
		t.Error("what QEMU wrote is not there")
	}
	if got := d.mustRead(t, 2<<20, 513); got[511] != 3 || got[512] != 0 {
		t.Errorf("512 octets at 2 MiB: %d, %d", got[511], got[512])
	}
}
