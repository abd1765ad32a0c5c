package softsecy

import (
	"math"
	"sync/atomic"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// lastPN is the last packet number of a suite's SAs.
func lastPN(suite sa.Suite) uint64 {
	if suite.XPN() {
		return math.MaxUint64
	}
	return math.MaxUint32
}

// RecoverPN gives the 64-bit PN of a frame received with low in its SecTAG,
// where next is the one expected: of the numbers with these low 32 bits the
// nearest to next, the lower of two, and none below 1 or above 2^64-1.
//
// 802.1AE 10.6.2 goes up from the lowest acceptable PN instead, which comes to
// the same for what is acceptable with replay protection. Without it, a frame
// that was overtaken by one from beyond a multiple of 2^32 is found here alone.
func RecoverPN(low uint32, next uint64) uint64 {
	d := int32(low - uint32(next))
	pn := next + uint64(int64(d))
	switch {
	case d < 0 && (pn >= next || pn == 0):
		pn += 1 << 32
	case d > 0 && pn < next:
		pn -= 1 << 32
	}
	return pn
}

// outPN gives a transmit SA's packet numbers, each once: nonces.
type outPN struct {
	used atomic.Uint64 // the last that was taken; it never falls
	last uint64
}

// take gives the next one; false when all are used, and from then on. It does
// not wrap, however many take at once: below 2^63 an addition cannot get to
// the end of 64 bits between two instructions of another goroutine, and from
// there on each is made on condition.
func (p *outPN) take() (uint64, bool) {
	used := p.used.Load()
	if used < 1<<63 {
		if used >= p.last {
			return 0, false
		}
		pn := p.used.Add(1)
		return pn, pn <= p.last
	}
	for used < p.last {
		if p.used.CompareAndSwap(used, used+1) {
			return used + 1, true
		}
		used = p.used.Load()
	}
	return 0, false
}

// next is what take would give; 0 if nothing.
func (p *outPN) next() uint64 {
	if used := p.used.Load(); used < p.last {
		return used + 1
	}
	return 0
}

// inPN is what a receive SA knows of packet numbers. 802.1AE's nextPN and
// lowestPN are one more than what is here, which 64 bits may not hold.
type inPN struct {
	highest atomic.Uint64 // of what was authentic; it never falls
	floor   atomic.Uint64 // not acceptable, nor is what is less; it never falls
}

func (p *inPN) start(lowest uint64) {
	p.floor.Store(lowest - 1)
	p.highest.Store(lowest - 1)
}

// next is the PN expected, last at most.
func (p *inPN) next(last uint64) uint64 {
	if h := p.highest.Load(); h < last {
		return h + 1
	}
	return last
}

// below tells whether pn is under the lowest acceptable PN, the greater of
// what was set and nextPN less the window (802.1AE 10.6.4).
func (p *inPN) below(pn, highest, window uint64) bool {
	return pn <= p.floor.Load() || highest >= window && pn <= highest-window
}

// accept counts an authentic frame in, unless it is below the lowest
// acceptable PN. The two are one: of two frames with one PN that are validated
// at once, under a window of 0 one is accepted.
func (p *inPN) accept(pn, window uint64) bool {
	for {
		h := p.highest.Load()
		if p.below(pn, h, window) {
			return false
		}
		if pn <= h || p.highest.CompareAndSwap(h, pn) {
			return true
		}
	}
}

// raise sets the lowest acceptable PN, and with it the next expected.
func (p *inPN) raise(lowest uint64) {
	atLeast(&p.floor, lowest-1)
	atLeast(&p.highest, lowest-1)
}

// keep makes what is below the lowest acceptable PN stay so under a wider
// window.
func (p *inPN) keep(window uint64) {
	if h := p.highest.Load(); h >= window {
		atLeast(&p.floor, h-window)
	}
}

func atLeast(v *atomic.Uint64, n uint64) {
	for {
		old := v.Load()
		if old >= n || v.CompareAndSwap(old, n) {
			return
		}
	}
}
