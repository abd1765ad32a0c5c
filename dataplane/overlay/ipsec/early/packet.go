package early

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
)

const (
	protoUDP = 17
	protoESP = 50
	portNATT = 4500 // of ESP in UDP (RFC 3948)
)

// parse finds the SPI in an IP packet of ESP, bare or in UDP; 0 if it is none.
// payload is where the header behind IP's begins.
func parse(b []byte) (spi uint32, payload int, udp bool) {
	if len(b) < 20 {
		return 0, 0, false
	}
	var proto byte
	switch b[0] >> 4 {
	case 4:
		payload, proto = int(b[0]&15)*4, b[9]
		if payload < 20 || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 { // a later fragment
			return 0, 0, false
		}
	case 6:
		if len(b) < 40 {
			return 0, 0, false
		}
		payload, proto = 40, b[6]
	default:
		return 0, 0, false
	}
	at := payload
	if proto == protoUDP {
		if at += 8; len(b) < at || binary.BigEndian.Uint16(b[payload+2:]) != portNATT {
			return 0, 0, false
		}
	} else if proto != protoESP {
		return 0, 0, false
	}
	if len(b) < at+4 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b[at:]), payload, proto == protoUDP
}

// sequence is the sequence number of a packet in which parse has found an SPI; 0 if
// it is cut off.
func sequence(b []byte) uint32 {
	_, at, udp := parse(b)
	if at += 4; udp {
		at += 8
	}
	if len(b) < at+4 {
		return 0
	}
	return binary.BigEndian.Uint32(b[at:])
}

// checksum writes UDP's anew: of a packet that no wire has seen it may not be
// there yet. IPv4 may do without.
func checksum(b []byte, payload int) {
	udp := b[payload:]
	binary.BigEndian.PutUint16(udp[6:], 0)
	if b[0]>>4 == 4 {
		return
	}
	var sum uint32
	add := func(p []byte) {
		for ; len(p) > 1; p = p[2:] {
			sum += uint32(binary.BigEndian.Uint16(p))
		}
		if len(p) == 1 {
			sum += uint32(p[0]) << 8
		}
	}
	add(b[8:40]) // source and destination
	add(udp)
	sum += uint32(len(udp)) + protoUDP
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum = ^sum & 0xffff; sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], uint16(sum))
}

// filter passes packets of ESP from remote to local whose SPI is none of those
// known; 0 is IKE's marker in UDP. It runs on what begins with the IP header.
func filter(remote, local netip.Addr, known []uint32) ([]bpf.RawInstruction, error) {
	var p []bpf.Instruction
	// need goes on where the word at off is want, else drops.
	need := func(off, size, want uint32) {
		p = append(p, bpf.LoadAbsolute{Off: off, Size: int(size)}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: want, SkipTrue: 1}, bpf.RetConstant{})
	}
	words := func(off uint32, a netip.Addr) {
		for b := a.AsSlice(); len(b) > 0; b = b[4:] {
			need(off, 4, binary.BigEndian.Uint32(b))
			off += 4
		}
	}
	proto := uint32(9)
	if remote.Is4() {
		words(12, remote)
		words(16, local)
		p = append(p, bpf.LoadAbsolute{Off: 6, Size: 2}, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipFalse: 1}, bpf.RetConstant{},
			bpf.LoadMemShift{Off: 0})
	} else {
		proto = 6
		words(8, remote)
		words(24, local)
		p = append(p, bpf.LoadConstant{Dst: bpf.RegX, Val: 40})
	}
	p = append(p,
		bpf.LoadAbsolute{Off: proto, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoESP, SkipFalse: 2},
		bpf.LoadIndirect{Off: 0, Size: 4},
		bpf.Jump{Skip: 6},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: protoUDP, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: portNATT, SkipTrue: 1},
		bpf.RetConstant{},
		bpf.LoadIndirect{Off: 8, Size: 4},
	)
	for _, spi := range append([]uint32{0}, known...) {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: spi, SkipFalse: 1}, bpf.RetConstant{})
	}
	return bpf.Assemble(append(p, bpf.RetConstant{Val: 1 << 16}))
}
