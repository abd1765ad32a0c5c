package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// ClearPacket is a UDP datagram over IPv4 with ClearMark, in an Ethernet frame:
// what is protected, as it may not be on an underlay.
func ClearPacket(dst, src net.HardwareAddr, from, to netip.Addr, port uint16) []byte {
	const ip, udp = 20, 8
	n := ip + udp + len(ClearMark)
	p := make([]byte, n)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(n))
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	var sum uint32 // of the header (RFC 1071); UDP over IPv4 needs none
	for i := 0; i < ip; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[20:], port)
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], uint16(udp+len(ClearMark)))
	copy(p[ip+udp:], ClearMark)
	return EtherFrame(dst, src, 0x0800, p)
}
