package gso

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// naive is the sum of RFC 1071, section 4.1, folded.
func naive(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
		s = s>>16 + s&0xffff
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	b, dst := make([]byte, 2000), make([]byte, 2000)
	fill := map[string]func() byte{
		"random": func() byte { return byte(r.Uint32()) },
		"ones":   func() byte { return 0xff },
		"zeros":  func() byte { return 0 },
		"sparse": func() byte { return byte(r.Uint32N(2) * 255) },
	}
	for name, octet := range fill {
		for i := range b {
			b[i] = octet()
		}
		for n := range b {
			clear(dst[:n])
			want := uint64(naive(b[:n]))
			if got := sum(b[:n]); got != want {
				t.Fatalf("%s, %d octets: sum %#x, want %#x", name, n, got, want)
			}
			dst[n] = 0xa5
			if got := copySum(dst, b[:n]); got != want || string(dst[:n]) != string(b[:n]) || dst[n] != 0xa5 {
				t.Fatalf("%s, %d octets: copySum %#x, want %#x", name, n, got, want)
			}
		}
	}
}

func TestFold(t *testing.T) {
	for s, want := range map[uint64]uint16{
		0: 0, 0xffff: 0xffff, 0x10000: 1, 0x1ffff: 1, 0xffffffff: 0xffff, 1 << 32: 1,
		1<<64 - 1: 0xffff, 1<<64 - 2: 0xfffe, 0x1_0000_fffe: 0xffff, 0xffffffff_00000000: 0xffff,
	} {
		if got := fold(s); got != want {
			t.Errorf("fold(%#x) = %#x, want %#x", s, got, want)
		}
	}
}
