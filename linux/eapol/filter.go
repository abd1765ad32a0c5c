package eapol

import "golang.org/x/net/bpf"

// typeMKA is the EAPOL packet type EAPOL-MKA (802.1X-2020 table 11-3).
const typeMKA = 5

// Offsets into the frame.
const (
	offEtherType = 12
	offType      = 15 // after the EAPOL version
)

// Packet types of linux/if_packet.h, as the skb's pkt_type has them.
const (
	packetHost      = 0 // to the device's own address, as it is now
	packetMulticast = 2 // 1 is broadcast; above are others' and our own frames
)

// program is the filter of a Conn. What depends on the kernel's view of the
// frame (received, untagged, ours) and what depends on its octets alone
// (mka, group) are apart, so that the latter run in bpf.VM.
func program(opts Options) []bpf.Instruction {
	var p []bpf.Instruction
	p = append(p, received()...)
	p = append(p, mka(opts.EtherType)...)
	p = append(p, ours()...)
	return append(p, group(opts.Destination)...)
}

// received drops what left this machine, what is for another station, and
// what had a VLAN tag (the tag is beside the frame by now, not in it: it is
// what PACKET_AUXDATA would report as TP_STATUS_VLAN_VALID).
func received() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: packetMulticast, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// mka drops what is no MKPDU, or longer than MaxFrame. A load beyond the end
// of the frame drops it too.
func mka(etherType uint16) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: MaxFrame, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: offEtherType, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(etherType), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: offType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeMKA, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
}

// ours accepts what is addressed to the device. The kernel's own judgement is
// used, not an address read at Listen: it follows a change of address.
func ours() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: packetHost, SkipTrue: 1},
		bpf.RetConstant{Val: MaxFrame},
	}
}

// group accepts what is addressed to dst and drops the rest.
func group(dst [6]byte) []bpf.Instruction {
	hi := uint32(dst[0])<<24 | uint32(dst[1])<<16 | uint32(dst[2])<<8 | uint32(dst[3])
	lo := uint32(dst[4])<<8 | uint32(dst[5])
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: hi, SkipFalse: 3},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: lo, SkipFalse: 1},
		bpf.RetConstant{Val: MaxFrame},
		bpf.RetConstant{Val: 0},
	}
}
