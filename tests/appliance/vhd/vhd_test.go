package vhd

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	images "github.com/linkseal/linkseal/images/vhd"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// disk is a file of zeros with a footer, without the memory for it.
type disk struct {
	size   int64
	footer []byte
}

func (d disk) length() int64 { return d.size + int64(len(d.footer)) }

func (d disk) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < d.size {
		return len(p), nil
	}
	n := copy(p, d.footer[off-d.size:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// good is a fixed disk of that size with a footer as the specification has it.
func good(size int64) disk {
	f := footer{
		Features: featureFixed, Version: 0x00010000, DataOffset: noOffset,
		CreatorApp: [4]byte{'t', 'e', 's', 't'}, CreatorHost: [4]byte{'W', 'i', '2', 'k'},
		OriginalSize: uint64(size), CurrentSize: uint64(size), DiskType: typeFixed, ID: [16]byte{1},
	}
	copy(f.Cookie[:], "conectix")
	c, h, s := geometry(uint64(size) / 512)
	f.Cylinders, f.Heads, f.Sectors = uint16(c), uint8(h), uint8(s)
	var out bytes.Buffer
	binary.Write(&out, binary.BigEndian, &f)
	raw := out.Bytes()
	binary.BigEndian.PutUint32(raw[64:], checksum(raw))
	return disk{size, raw}
}

// The specification's footer is taken, and so is the one that images are made with.
func TestGood(t *testing.T) {
	for _, mib := range []int64{20, 64, 512, 1400, 2047, 8 << 10, 40 << 10, 127 << 10, 1023 << 10} {
		d := good(mib << 20)
		if err := Check(d, d.length()); err != nil {
			t.Errorf("%d MiB: %v", mib, err)
		}
		made, err := images.Footer(mib<<20, time.Date(2026, 11, 26, 17, 0, 0, 0, time.UTC), "linkseal")
		if err != nil {
			t.Errorf("an image of %d MiB: %v", mib, err)
			continue
		}
		d = disk{mib << 20, made}
		if err := Check(d, d.length()); err != nil {
			t.Errorf("an image of %d MiB: %v", mib, err)
		}
	}
}

// The specification's own figures are few; these follow from its pseudo code by hand.
func TestGeometry(t *testing.T) {
	for _, c := range []struct {
		sectors uint64
		want    [3]uint32
	}{
		{20 << 11, [3]uint32{602, 4, 17}}, // 20 MiB: 2,409 tracks of 17, 4 heads at the least
		// 500 MiB: 60,235 tracks of 17 want 59 heads, 33,032 of 31 and 16,253 of 63
		// want 16; the last have less than 1,024 cylinders.
		{500 << 11, [3]uint32{1015, 16, 63}},
		{65535 * 16 * 255 * 2, [3]uint32{65535, 16, 255}}, // the largest
	} {
		a, b, s := geometry(c.sectors)
		if got := [3]uint32{a, b, s}; got != c.want {
			t.Errorf("%d sectors: %v, want %v", c.sectors, got, c.want)
		}
	}
}

func TestBad(t *testing.T) {
	const size = 64 << 20
	put32 := func(at int, v uint32) func(*disk) {
		return func(d *disk) { binary.BigEndian.PutUint32(d.footer[at:], v) }
	}
	put64 := func(at int, v uint64) func(*disk) {
		return func(d *disk) { binary.BigEndian.PutUint64(d.footer[at:], v) }
	}
	for _, c := range []struct {
		name   string
		change func(*disk)
		keep   bool // the checksum as it was
		want   string
	}{
		{"cookie", func(d *disk) { d.footer[0] = 'C' }, false, "no VHD"},
		{"raw", func(d *disk) { d.footer = make([]byte, 512) }, false, "no VHD"},
		{"cut", func(d *disk) { d.footer = d.footer[:511] }, true, "no VHD"},
		{"temporary", put32(8, 3), false, "temporary"},
		{"no reserved feature", put32(8, 0), false, "always set"},
		{"unknown feature", put32(8, 6), false, "has not"},
		{"version", put32(12, 0x20000), false, "version 0x20000"},
		{"offset", put64(16, 512), false, "data offset"},
		{"dynamic", put32(60, 3), false, "disk type 3"},
		{"differencing", put32(60, 4), false, "disk type 4"},
		{"resized", put64(40, size-1<<20), false, "not the original size"},
		{"half a MiB", func(d *disk) { *d = good(size + 1<<19) }, false, "no whole number of MiB"},
		{"longer file", func(d *disk) { d.size += 1 << 20 }, false, "octets before the footer"},
		{"small", func(d *disk) { *d = good(19 << 20) }, false, "below 20 MiB"},
		{"large", func(d *disk) { *d = good(1024 << 30) }, false, "above 1,023 GiB"},
		{"geometry", put32(56, 0x00010401), false, "geometry 1/4/1"},
		{"checksum", func(d *disk) { d.footer[64] ^= 1 }, true, "checksum"},
		{"flipped", func(d *disk) { d.footer[25] ^= 1 }, true, "checksum"},
		{"suspended", func(d *disk) { d.footer[84] = 1 }, false, "saved state"},
		{"reserved", func(d *disk) { d.footer[511] = 1 }, false, "reserved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := good(size)
			c.change(&d)
			if !c.keep {
				binary.BigEndian.PutUint32(d.footer[64:], checksum(d.footer))
			}
			err := Check(d, d.length())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	if err := Check(disk{100, nil}, 100); err == nil {
		t.Error("100 octets pass")
	}
}

// What Azure's text tells one to run is taken, and what it warns of is not.
func TestOfQEMU(t *testing.T) {
	probetest.NeedTool(t, "qemu-img")
	for _, c := range []struct{ options, want string }{
		{"subformat=fixed,force_size", ""},
		{"subformat=dynamic,force_size", "disk type 3"},
	} {
		path := filepath.Join(t.TempDir(), "disk.vhd")
		if out, err := exec.Command("qemu-img", "create", "-f", "vpc", "-o", c.options, path, "33M").CombinedOutput(); err != nil {
			t.Fatalf("qemu-img: %v: %s", err, out)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		err = Check(f, st.Size())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", c.options, err, c.want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(good(64 << 20).footer)
	f.Add([]byte("conectix"))
	f.Fuzz(func(t *testing.T, footer []byte) {
		d := disk{64 << 20, footer}
		if len(footer) <= 512 {
			Check(d, d.length())
		}
	})
}
