// Package gpt reads the partition table of a disk image: where each named
// partition is.
package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

const sector = 512

// Partition is one entry; offset and size are in octets.
type Partition struct {
	Name         string
	Offset, Size int64
}

type header struct {
	Signature                     [8]byte
	Revision, Size, CRC, Reserved uint32
	This, Other, First, Last      uint64
	Disk                          [16]byte
	Entries                       uint64
	Count, EntrySize, EntriesCRC  uint32
}

type entry struct {
	Type, ID    [16]byte
	First, Last uint64
	Attributes  uint64
	Name        [36]uint16
}

// Read returns the partitions in the order of the table. It reads the first
// copy and checks both its sums.
func Read(disk io.ReaderAt) ([]Partition, error) {
	raw := make([]byte, sector)
	if _, err := disk.ReadAt(raw, sector); err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	var h header
	binary.Decode(raw, binary.LittleEndian, &h)
	if string(h.Signature[:]) != "EFI PART" || h.Size < 92 || h.Size > sector {
		return nil, errors.New("no GPT in sector 1")
	}
	clear(raw[16:20])
	if crc32.ChecksumIEEE(raw[:h.Size]) != h.CRC {
		return nil, errors.New("the GPT's header does not match its CRC")
	}
	if h.EntrySize < 128 || h.EntrySize > 4096 || h.Count > 1024 {
		return nil, fmt.Errorf("the GPT has %d entries of %d octets", h.Count, h.EntrySize)
	}
	table := make([]byte, h.Count*h.EntrySize)
	if _, err := disk.ReadAt(table, int64(h.Entries)*sector); err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	if crc32.ChecksumIEEE(table) != h.EntriesCRC {
		return nil, errors.New("the GPT's entries do not match their CRC")
	}
	var found []Partition
	for ; len(table) > 0; table = table[h.EntrySize:] {
		var e entry
		binary.Decode(table, binary.LittleEndian, &e)
		if e.Type == [16]byte{} {
			continue
		}
		name := string(utf16.Decode(e.Name[:]))
		if end := bytes.IndexByte([]byte(name), 0); end >= 0 {
			name = name[:end]
		}
		if e.First < h.First || e.Last > h.Last || e.Last < e.First {
			return nil, fmt.Errorf("partition %s lies from %d to %d, outside of the disk", name, e.First, e.Last)
		}
		found = append(found, Partition{name, int64(e.First) * sector, int64(e.Last-e.First+1) * sector})
	}
	return found, nil
}

// Find returns the one partition of that name.
func Find(disk io.ReaderAt, name string) (Partition, error) {
	all, err := Read(disk)
	if err != nil {
		return Partition{}, err
	}
	var found []Partition
	for _, p := range all {
		if p.Name == name {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return Partition{}, fmt.Errorf("%d partitions named %s, want 1", len(found), name)
	}
	return found[0], nil
}
