package device

import (
	"encoding/binary"
	"slices"

	"github.com/linkseal/linkseal/bpf"
)

// sending is a frame that is queued, as the filter is to count it when the port
// has taken it; one of 0 octets it does not count.
type sending struct {
	an     uint8
	pn     uint32
	octets uint64
}

// sendingOf reads the AN and PN of an MPDU's SecTAG (802.1AE 9.3). A frame
// without one is for no filter to count.
func sendingOf(mpdu []byte) (s sending) {
	if len(mpdu) >= etherLen+6 && binary.BigEndian.Uint16(mpdu[12:]) == macsec {
		s = sending{mpdu[etherLen] & 3, binary.BigEndian.Uint32(mpdu[etherLen+2:]), uint64(len(mpdu))}
	}
	return s
}

// settled are the frames of order but the last ones, as many as are left, by
// AN; rest are those.
func settled(order []sending, left int) (sent [4]bpf.Batch, rest []sending) {
	taken := max(len(order)-left, 0)
	for _, s := range order[:taken] {
		if s.octets == 0 {
			continue
		}
		b := &sent[s.an]
		if b.Packets == 0 {
			b.AN, b.First = s.an, s.pn
		}
		b.Packets++
		b.Octets += s.octets
		b.Last = s.pn
	}
	return sent, slices.Delete(order, 0, taken)
}
