package packet

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	addresses = 12
	tagLen    = 4
	ctag      = 0x8100
)

// control has room for one struct tpacket_auxdata with its header.
type control [5]uint64

// tags tells of the frames of a reception which VLAN tag the kernel took out of
// each: it keeps the outermost beside the frame.
type tags [batch]control

// ask makes room for the next reception: the kernel changes the lengths.
func (t *tags) ask(d *direction) {
	for i := range d.messages {
		d.messages[i].header.Control = (*byte)(unsafe.Pointer(&t[i]))
		d.messages[i].header.SetControllen(int(unsafe.Sizeof(t[i])))
	}
}

// restore puts the tag of frame i, if it had one, into it. buf has the frame's
// length octets behind tagLen that are free; it returns the whole frame.
func (t *tags) restore(d *direction, i int, buf []byte, length int) []byte {
	head := (*unix.Cmsghdr)(unsafe.Pointer(&t[i]))
	aux := (*unix.TpacketAuxdata)(unsafe.Add(unsafe.Pointer(&t[i]), unix.CmsgLen(0)))
	if int(d.messages[i].header.Controllen) < unix.CmsgLen(int(unsafe.Sizeof(*aux))) || head.Level != unix.SOL_PACKET || head.Type != unix.PACKET_AUXDATA ||
		aux.Status&unix.TP_STATUS_VLAN_VALID == 0 || length < addresses {
		return buf[tagLen : tagLen+length]
	}
	tpid := uint16(ctag)
	if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = aux.Vlan_tpid
	}
	copy(buf, buf[tagLen:tagLen+addresses])
	binary.BigEndian.PutUint16(buf[addresses:], tpid)
	binary.BigEndian.PutUint16(buf[addresses+2:], aux.Vlan_tci)
	return buf[:tagLen+length]
}
