package gso

import (
	"encoding/binary"
	"math/bits"
)

// The Internet checksum (RFC 1071). Sums are of big-endian 16-bit words and
// are kept in 64 bits, so that they add up without care for carries; fold
// brings them into 16 bits. The octets themselves are summed as little-endian
// 64-bit words and the result swapped (RFC 1071, section 2 (B) and (C)).

// fold brings a sum into 16 bits with end-around carry.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}

// sum adds up the words of b; an odd last octet is a word's high half. The
// result is at most 0xffff.
//
// Each 64 octets are a chain of additions with carry of their own, which the
// processor overlaps; longer ones run out of registers.
func sum(b []byte) uint64 {
	var s, carries uint64
	for len(b) >= 64 {
		w := b[:64:64]
		p, c := bits.Add64(binary.LittleEndian.Uint64(w[0:]), binary.LittleEndian.Uint64(w[8:]), 0)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[16:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[24:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[32:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[40:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[48:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[56:]), c)
		s, c = bits.Add64(s, p, c)
		carries += c
		b = b[64:]
	}
	s, c := bits.Add64(s, carries, 0)
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var last uint64
	for i, o := range b {
		last |= uint64(o) << (8 * i)
	}
	s, c = bits.Add64(s, last, c)
	s, c = bits.Add64(s, 0, c)
	return uint64(bits.ReverseBytes16(fold(s + c)))
}

// copySum copies src to dst, which is no shorter, and returns src's sum. The
// runtime's copy and a second pass over what the first level cache holds take
// less time than one loop that does both.
func copySum(dst, src []byte) uint64 {
	copy(dst, src)
	return sum(src)
}
