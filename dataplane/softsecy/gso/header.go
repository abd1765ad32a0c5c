// Package gso does for a tap with IFF_VNET_HDR what a network card does for
// its driver: it cuts the host's super-packets into finished frames (Splitter:
// TSO, USO and checksums that the host left open) and joins received frames
// into super-packets (Coalescer: GRO). It is pure: no IO, no clock, and no
// allocation once warm.
//
// Frames are Ethernet without FCS, destination address first; 802.1Q and
// 802.1ad tags may stand before the IP header.
package gso

import "encoding/binary"

// HeaderLen is the length of a Header in octets.
const HeaderLen = 10

// Header.Type (linux/virtio_net.h, VIRTIO_NET_HDR_GSO_*).
const (
	None  = 0
	TCPv4 = 1
	TCPv6 = 4
	UDPL4 = 5
	// ECN is or-ed to a TCP type: the packet has CWR, the first segment's.
	ECN = 0x80
)

// Bits of Header.Flags (VIRTIO_NET_HDR_F_*).
const (
	// NeedsCsum: the field at CsumStart+CsumOffset holds the pseudo-header's
	// sum, uninverted; the checksum of all from CsumStart on is to be put there.
	NeedsCsum = 1
	// DataValid: the packet's checksum was verified. Linux's tap (6.18) does
	// not heed it in what is written to it, and verifies again.
	DataValid = 2
)

// Header is struct virtio_net_hdr, in host byte order before each packet that
// is read from the tap or written to it. Offsets count from the frame's start.
type Header struct {
	Flags, Type uint8
	// HdrLen is the length of all headers, Ethernet's to TCP's; from the host
	// it is a hint only.
	HdrLen uint16
	// Size is the payload of a segment, in octets.
	Size                  uint16
	CsumStart, CsumOffset uint16
}

// Decode reads the header from b[:HeaderLen].
func (h *Header) Decode(b []byte) {
	_ = b[HeaderLen-1]
	*h = Header{
		Flags: b[0], Type: b[1],
		HdrLen:     binary.NativeEndian.Uint16(b[2:]),
		Size:       binary.NativeEndian.Uint16(b[4:]),
		CsumStart:  binary.NativeEndian.Uint16(b[6:]),
		CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// Encode writes the header to b[:HeaderLen].
func (h *Header) Encode(b []byte) {
	_ = b[HeaderLen-1]
	b[0], b[1] = h.Flags, h.Type
	binary.NativeEndian.PutUint16(b[2:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.Size)
	binary.NativeEndian.PutUint16(b[6:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], h.CsumOffset)
}
