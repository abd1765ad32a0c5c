package device

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/linkseal/linkseal/bpf"
)

// What the port has not taken is counted when it has, once, and not when it never
// does.
func TestSettled(t *testing.T) {
	mpdu := func(an uint8, pn uint32, size int) []byte {
		f := make([]byte, size)
		f[12], f[13], f[14] = 0x88, 0xe5, 0x2c|an
		binary.BigEndian.PutUint32(f[16:], pn)
		return f
	}
	order := []sending{sendingOf(mpdu(1, 7, 60)), sendingOf(mpdu(1, 8, 100)), sendingOf(make([]byte, 60)), sendingOf(mpdu(2, 1, 64)), sendingOf(mpdu(1, 9, 1500))}
	for _, tt := range []struct {
		left, rest int
		sent       [4]bpf.Batch
	}{
		{5, 5, [4]bpf.Batch{}},
		{2, 2, [4]bpf.Batch{1: {AN: 1, Packets: 2, Octets: 160, First: 7, Last: 8}}},
		{1, 1, [4]bpf.Batch{2: {AN: 2, Packets: 1, Octets: 64, First: 1, Last: 1}}},
		{1, 1, [4]bpf.Batch{}},
		{0, 0, [4]bpf.Batch{1: {AN: 1, Packets: 1, Octets: 1500, First: 9, Last: 9}}},
	} {
		sent, rest := settled(slices.Clone(order), tt.left)
		if sent != tt.sent || len(rest) != tt.rest {
			t.Errorf("%d left: %+v, %d to come; want %+v", tt.left, sent, len(rest), tt.sent)
		}
		order = rest
	}
}
