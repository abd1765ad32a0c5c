package inspect

import (
	"fmt"
	"math/bits"
	"strconv"
)

// window is how many numbers behind the highest are held apart.
const window = 1024

// sequence follows the numbers of one SA or WireGuard session as a capture
// shows them: what is missing may be lost, or not captured.
type sequence struct {
	lowest, highest uint64
	distinct        uint64 // numbers that were seen
	repeated, old   uint64 // seen before; too far behind to tell
	seen            [window / 64]uint64
}

// note takes a number and tells how many were left out between the highest
// before it and it, and whether it was seen before.
func (s *sequence) note(n uint64) (gap uint64, repeated bool) {
	switch {
	case s.distinct == 0:
		s.lowest, s.highest = n, n
	case n > s.highest:
		gap = n - s.highest - 1
		s.forget(s.highest+1, n)
		s.highest = n
	case s.highest-n < window && s.at(n):
		s.repeated++
		return 0, true
	case n < s.lowest:
		s.lowest = n
	case s.highest-n >= window:
		s.old++
		return 0, false
	}
	s.distinct++
	if s.highest-n < window {
		s.seen[n%window/64] |= 1 << (n % 64)
	}
	return gap, false
}

func (s *sequence) at(n uint64) bool { return s.seen[n%window/64]>>(n%64)&1 != 0 }

// forget makes room for the numbers from and to and those between them.
func (s *sequence) forget(from, to uint64) {
	if to-from >= window {
		s.seen = [window / 64]uint64{}
		return
	}
	for n := from; ; n++ {
		s.seen[n%window/64] &^= 1 << (n % 64)
		if n == to {
			return
		}
	}
}

// extend is the number of 64 bits, nearest to the highest, whose low 32 bits are
// low: ESP's packets have no more (RFC 4303, 2.2.1).
func (s *sequence) extend(low uint32) uint64 {
	if s.distinct == 0 {
		return uint64(low)
	}
	d := int64(int32(low - uint32(s.highest)))
	if d < 0 && uint64(-d) > s.highest {
		d += 1 << 32
	}
	return s.highest + uint64(d)
}

// missing is how many numbers between the lowest and the highest were not seen,
// but for those too far behind to tell.
func (s *sequence) missing() uint64 {
	if s.distinct == 0 {
		return 0
	}
	n, borrow := bits.Sub64(s.highest-s.lowest, s.distinct-1, 0)
	if borrow != 0 {
		return 0
	}
	return n - min(n, s.old)
}

func (s *sequence) String() string {
	if s.distinct == 0 {
		return "none"
	}
	text := fmt.Sprintf("%d to %d, ", s.lowest, s.highest)
	if n := s.missing(); n > 0 {
		text += strconv.FormatUint(n, 10) + " missing"
	} else {
		text += "none missing"
	}
	if s.repeated > 0 {
		text += fmt.Sprintf(", %d repeated", s.repeated)
	}
	if s.old > 0 {
		text += fmt.Sprintf(", %d more than %d behind", s.old, window)
	}
	return text
}
