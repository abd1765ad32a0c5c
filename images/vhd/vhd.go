// Package vhd makes the footer that turns a disk's octets into a fixed VHD, the one
// form of virtual disk that Azure takes: Virtual Hard Disk Image Format
// Specification, version 1.0. The same disk gets the same footer.
package vhd

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// FooterSize is what follows the disk's octets.
const FooterSize = 512

// Azure's: whole MiB, of which there are 20 at least and 1023 GiB at the most.
const (
	unit    = 1 << 20
	minimum = 20 * unit
	maximum = 1023 << 30
)

// epoch is when the format's time begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Footer is that of a disk of size octets, made at a time; name is what its
// identity is derived from.
func Footer(size int64, made time.Time, name string) ([]byte, error) {
	switch {
	case size%unit != 0:
		return nil, fmt.Errorf("the disk has %d octets, which is no whole number of MiB", size)
	case size < minimum || size > maximum:
		return nil, fmt.Errorf("the disk has %d octets; Azure takes 20 MiB to 1023 GiB", size)
	}
	seconds := made.Unix() - epoch.Unix()
	if seconds < 0 || seconds > 1<<32-1 {
		return nil, fmt.Errorf("a VHD cannot be of %s; its time begins with the year 2000", made.UTC().Format(time.RFC3339))
	}
	id := sha256.Sum256([]byte("linkseal vhd " + name))

	b := append(make([]byte, 0, FooterSize), "conectix"...)
	b = binary.BigEndian.AppendUint32(b, 2)       // features: what is reserved is set
	b = binary.BigEndian.AppendUint32(b, 1<<16)   // version 1.0
	b = binary.BigEndian.AppendUint64(b, 1<<64-1) // a fixed disk has no header elsewhere
	b = binary.BigEndian.AppendUint32(b, uint32(seconds))
	b = append(b, "lnks"...)
	b = binary.BigEndian.AppendUint32(b, 1<<16)
	b = append(b, "Wi2k"...)
	b = binary.BigEndian.AppendUint64(b, uint64(size)) // as made
	b = binary.BigEndian.AppendUint64(b, uint64(size)) // as it is
	// The largest geometry there is says that the size counts. The one that the
	// specification computes of a size is for a disk that is a little smaller, and
	// QEMU takes it at its word.
	b = binary.BigEndian.AppendUint16(b, 65535)
	b = append(b, 16, 255)
	b = binary.BigEndian.AppendUint32(b, 2) // fixed
	sum := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, id[:16]...)
	b = b[:FooterSize] // no saved state, and zeros
	binary.BigEndian.PutUint32(b[sum:], checksum(b))
	return b, nil
}

// checksum is the complement of the sum of the octets, its own being zero.
func checksum(footer []byte) uint32 {
	var sum uint32
	for _, o := range footer {
		sum += uint32(o)
	}
	return ^sum
}
