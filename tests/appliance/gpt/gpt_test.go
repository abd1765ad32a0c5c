package gpt

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// table makes a disk of 4 MiB with these partitions.
func table(parts ...Partition) []byte {
	disk := make([]byte, 4<<20)
	entries := new(bytes.Buffer)
	for _, p := range parts {
		e := entry{Type: [16]byte{1}, First: uint64(p.Offset / sector), Last: uint64((p.Offset+p.Size)/sector - 1)}
		copy(e.Name[:], utf16.Encode([]rune(p.Name)))
		binary.Write(entries, binary.LittleEndian, &e)
	}
	entries.Write(make([]byte, 128*128-entries.Len()))
	h := header{Revision: 0x10000, Size: 92, This: 1, First: 34, Last: 8158, Entries: 2, Count: 128, EntrySize: 128}
	copy(h.Signature[:], "EFI PART")
	h.EntriesCRC = crc32.ChecksumIEEE(entries.Bytes())
	head := new(bytes.Buffer)
	binary.Write(head, binary.LittleEndian, &h)
	h.CRC = crc32.ChecksumIEEE(head.Bytes()[:92])
	head.Reset()
	binary.Write(head, binary.LittleEndian, &h)
	copy(disk[sector:], head.Bytes())
	copy(disk[2*sector:], entries.Bytes())
	return disk
}

func TestRead(t *testing.T) {
	want := []Partition{{"esp", 1 << 20, 1 << 20}, {"root-a-verity", 2 << 20, 512}, {"var", 3 << 20, 512 * 4}}
	disk := table(want...)
	got, err := Read(bytes.NewReader(disk))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if p, err := Find(bytes.NewReader(disk), "var"); err != nil || p != want[2] {
		t.Errorf("var: %v, %v", p, err)
	}
	if _, err := Find(bytes.NewReader(disk), "root-a"); err == nil {
		t.Error("root-a is found; only root-a-verity is there")
	}
}

func TestDamaged(t *testing.T) {
	for name, at := range map[string]int{"header": sector + 40, "entries": 2*sector + 3, "signature": sector} {
		disk := table(Partition{"esp", 1 << 20, 1 << 20})
		disk[at] ^= 1
		if _, err := Read(bytes.NewReader(disk)); err == nil {
			t.Errorf("a flipped bit in the %s is not noticed", name)
		}
	}
	if _, err := Read(bytes.NewReader(table(Partition{"far", 4 << 20, 512}))); err == nil || !strings.Contains(err.Error(), "outside") {
		t.Errorf("a partition behind the disk: %v", err)
	}
	if _, err := Read(strings.NewReader("short")); err == nil {
		t.Error("five octets are a disk")
	}
}
