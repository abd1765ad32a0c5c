// Package vhd checks a virtual hard disk by the rules that Azure publishes for
// what is uploaded to it. It reads a length and the last 512 octets, and nothing
// of the disk in between.
//
// The rules, and where they are written:
//   - Only a fixed VHD; its virtual size, which is what the footer calls the
//     current size, is a whole number of MiB; 1,023 GiB at the most
//     (MicrosoftDocs/azure-docs, articles/virtual-machines/linux/create-upload-generic.md,
//     "General Linux Installation Notes" 1, 3 and 8). What is not gets "has an
//     unsupported virtual size of N bytes. The size must be a whole number (in MBs)".
//   - An upload has the footer's 512 octets behind the disk, and 20 MiB at least
//     before it (Microsoft.Compute disks, creationData.uploadSizeBytes: "between
//     20972032 (20 MiB + 512 bytes for the VHD footer) and 35183298347520").
//   - The footer itself: Virtual Hard Disk Image Format Specification, version 1.0
//     of October 11, 2006, "Hard Disk Footer Format".
package vhd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// FooterSize is what follows the disk in the file.
	FooterSize = 512

	mebi    = 1 << 20
	minimum = 20 * mebi
	maximum = 1023 << 30

	typeFixed    = 2
	featureTemp  = 1
	featureFixed = 2 // "reserved, must always be set to 1"
	noOffset     = 0xFFFFFFFFFFFFFFFF
)

// footer is the specification's, in its order; all of it is big-endian.
type footer struct {
	Cookie         [8]byte
	Features       uint32
	Version        uint32
	DataOffset     uint64
	TimeStamp      uint32
	CreatorApp     [4]byte
	CreatorVersion uint32
	CreatorHost    [4]byte
	OriginalSize   uint64
	CurrentSize    uint64
	Cylinders      uint16
	Heads, Sectors uint8
	DiskType       uint32
	Checksum       uint32
	ID             [16]byte
	SavedState     uint8
	Reserved       [427]byte
}

// Check returns all that keeps Azure from taking the file, or nil.
func Check(file io.ReaderAt, length int64) error {
	if length < FooterSize {
		return fmt.Errorf("%d octets: a VHD ends in a footer of %d", length, FooterSize)
	}
	raw := make([]byte, FooterSize)
	if _, err := file.ReadAt(raw, length-FooterSize); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the footer: %w", err)
	}
	var f footer
	if _, err := binary.Decode(raw, binary.BigEndian, &f); err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	if string(f.Cookie[:]) != "conectix" {
		return fmt.Errorf("the last %d octets begin with %q, a footer with \"conectix\": no VHD, or one that was cut", FooterSize, f.Cookie[:])
	}
	var wrong []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	need(f.DiskType == typeFixed, "disk type %d, want %d: Azure takes fixed disks only", f.DiskType, typeFixed)
	need(f.DataOffset == noOffset, "data offset %#x: a fixed disk has none, all ones", f.DataOffset)
	need(f.Features&featureFixed != 0, "features %#x: the bit %#x is always set", f.Features, featureFixed)
	need(f.Features&featureTemp == 0, "features %#x: marked temporary, may be deleted at a shutdown", f.Features)
	need(f.Features&^(featureFixed|featureTemp) == 0, "features %#x: bits that the specification has not", f.Features)
	need(f.Version == 0x00010000, "file format version %#x, want 0x10000", f.Version)
	need(f.CurrentSize == f.OriginalSize, "current size %d is not the original size %d", f.CurrentSize, f.OriginalSize)
	need(f.CurrentSize%mebi == 0, "virtual size %d is no whole number of MiB", f.CurrentSize)
	need(f.CurrentSize == uint64(length-FooterSize), "virtual size %d, but %d octets before the footer", f.CurrentSize, length-FooterSize)
	need(f.CurrentSize >= minimum, "virtual size %d is below 20 MiB", f.CurrentSize)
	need(f.CurrentSize <= maximum, "virtual size %d is above 1,023 GiB", f.CurrentSize)
	need(f.geometryFits(), "geometry %d/%d/%d does not stand for %d octets", f.Cylinders, f.Heads, f.Sectors, f.CurrentSize)
	need(f.SavedState == 0, "saved state %d: of a machine that was suspended", f.SavedState)
	need(f.Reserved == [427]byte{}, "the reserved octets at its end are not zero")
	if sum := checksum(raw); f.Checksum != sum {
		need(false, "checksum %#x, want %#x", f.Checksum, sum)
	}
	return errors.Join(wrong...)
}

// checksum is the one's complement of the sum of all octets but its own.
func checksum(raw []byte) uint32 {
	const at = 64
	var sum uint32
	for i, b := range raw {
		if i < at || i >= at+4 {
			sum += uint32(b)
		}
	}
	return ^sum
}

// geometryFits takes the specification's geometry of the size ("CHS
// Calculation"), and the largest there is, 65535/16/255: by that QEMU's
// force_size, which Azure's text advises, says that the size counts and the
// geometry does not.
func (f *footer) geometryFits() bool {
	c, h, s := geometry(f.CurrentSize / 512)
	got := [3]uint32{uint32(f.Cylinders), uint32(f.Heads), uint32(f.Sectors)}
	return got == [3]uint32{c, h, s} || got == [3]uint32{65535, 16, 255}
}

// geometry is "CHS Calculation" of the specification.
func geometry(total uint64) (cylinders, heads, sectors uint32) {
	total = min(total, 65535*16*255)
	var across uint64 // cylinders times heads
	if total >= 65535*16*63 {
		sectors, heads = 255, 16
		across = total / 255
	} else {
		sectors = 17
		across = total / 17
		heads = max(uint32((across+1023)/1024), 4)
		if across >= uint64(heads)*1024 || heads > 16 {
			sectors, heads = 31, 16
			across = total / 31
		}
		if across >= uint64(heads)*1024 {
			sectors, heads = 63, 16
			across = total / 63
		}
	}
	return uint32(across / uint64(heads)), heads, sectors
}
