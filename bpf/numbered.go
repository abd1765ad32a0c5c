package bpf

import "time"

// Traffic is what was seen of something.
type Traffic struct {
	Counter
	Seen time.Time // of the last frame, to a tick; zero: there was none
}

// Numbered is the traffic of an SA, whose frames have numbers: PN of MACsec,
// sequence number of ESP, of 64 bits the lower half.
type Numbered struct {
	Traffic
	// The first number that was seen, and the highest by serial number
	// arithmetic. 0 and 0: there was none.
	Low, High uint32
}

// Gaps estimates how many frames of the SA are missing in between. Duplicates
// hide gaps. It is modulo 2^32: numbers may have gone round.
func (n Numbered) Gaps() uint64 {
	if n.Packets == 0 {
		return 0
	}
	return uint64(max(int32(n.High-n.Low+1-uint32(n.Packets)), 0))
}

// Of numbered.h: FIRST and LONG.
const (
	hasFirst    = 1 << 32
	longSilence = 1000 // jiffies
)

// numbered is the sum of what each CPU has counted, and of what user space has,
// Seen by its own clock. Who has seen nothing for long may be more than half the
// range of numbers behind, and has no say in which is the highest.
func (t ticks) numbered(perCPU []portNumbered, sent portNumbered, low uint64) (n Numbered) {
	for i := range perCPU {
		if perCPU[i].Seen != 0 {
			perCPU[i].Seen = uint64(t.at(perCPU[i].Seen).UnixNano())
		}
	}
	all := append(perCPU, sent)
	var latest portNumbered
	seen := uint64(0)
	for _, c := range all {
		n.Packets += c.Packets
		n.Octets += c.Octets
		seen = max(seen, c.Seen)
		if c.HasHigh != 0 && c.Seen > latest.Seen {
			latest = c
		}
	}
	if seen != 0 {
		n.Seen = time.Unix(0, int64(seen))
	}
	n.Low, n.High = uint32(low), latest.High
	for _, c := range all {
		if c.HasHigh != 0 && latest.Seen-c.Seen <= uint64(longSilence*t.each) && int32(c.High-n.High) > 0 {
			n.High = c.High
		}
	}
	return n
}
