package userspace

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
)

// mallory is a man in the middle who forwards the frames of one end, and at
// random keeps them back, doubles them, changes or cuts them, and sends old ones
// again. She keeps account of what the other end has to make of each.
type mallory struct {
	mu     sync.Mutex
	random *rand.Rand
	window uint64

	held    [][]byte // kept back, to follow a later frame
	old     [][]byte // to be sent again
	highest uint64   // PN that the other end has accepted
	n       tally
	owed    map[uint64]int // by PN: how often the other end may deliver it
}

// tally is frames: those that an end sent, those that were sent on, and of
// these the ones that are as they were, and acceptable or late.
type tally struct {
	from, sent, ok, late, altered uint64
}

const (
	macsecType = 0x88e5
	pnAt       = 16 // of the PN in a frame
)

// tamper gives the frames to send in place of one.
func (m *mallory) tamper(frame []byte) (out [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n.from++
	f := slices.Clone(frame)
	emit := func(f []byte) {
		out = append(out, f)
		m.account(f)
	}
	spoil := func(f []byte) {
		out = append(out, f)
		m.n.sent++
		m.n.altered++
	}
	switch m.random.IntN(20) {
	case 0, 1: // keep back
		m.held = append(m.held, f)
	case 2: // double
		emit(f)
		emit(f)
	case 3: // flip a bit; the EtherType stays, so that the frame is MACsec's
		bad := slices.Clone(f)
		bit := m.random.IntN(8 * (len(bad) - 2))
		if bit >= 12*8 {
			bit += 16
		}
		bad[bit/8] ^= 1 << (bit % 8)
		spoil(bad)
		emit(f)
	case 4: // cut; what is left has an EtherType
		spoil(slices.Clone(f[:14+m.random.IntN(len(f)-14)]))
	case 5: // replay
		emit(f)
		if len(m.old) > 0 {
			emit(m.old[m.random.IntN(len(m.old))])
		}
	case 6: // keep altogether
	default:
		emit(f)
	}
	if len(m.old) < 256 {
		m.old = append(m.old, f)
	} else {
		m.old[m.random.IntN(len(m.old))] = f
	}
	if len(m.held) > 0 && m.random.IntN(4) == 0 {
		emit(m.held[0])
		m.held = m.held[1:]
	}
	return out
}

// account tells what 802.1AE 10.6 says of a frame that is as it was sent: with a
// window a PN is acceptable that is greater than the highest less the window,
// also if it was accepted before.
func (m *mallory) account(f []byte) {
	m.n.sent++
	pn := uint64(binary.BigEndian.Uint32(f[pnAt:]))
	if m.highest >= m.window && pn <= m.highest-m.window {
		m.n.late++
		return
	}
	m.n.ok++
	m.owed[pn]++
	m.highest = max(m.highest, pn)
}

// twice is how many frames were acceptable more than once.
func (m *mallory) twice() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.owed {
		if times > 1 {
			n++
		}
	}
	return n
}

func (m *mallory) tally() tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n
}
