package inspect

import (
	"testing"

	"pgregory.net/rapid"
)

// Numbers that come in any order within the window are counted as a set counts
// them.
func TestSequenceIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s sequence
		base := rapid.Uint64Range(0, 1<<63).Draw(t, "base")
		set := map[uint64]bool{}
		var repeated uint64
		for _, off := range rapid.SliceOfN(rapid.Uint64Range(0, window-1), 1, 400).Draw(t, "offsets") {
			n := base + off
			if _, again := s.note(n); again != set[n] {
				t.Fatalf("%d: repeated %v", n, again)
			}
			if set[n] {
				repeated++
			}
			set[n] = true
		}
		lowest, highest := base+window, uint64(0)
		for n := range set {
			lowest, highest = min(lowest, n), max(highest, n)
		}
		if want := highest - lowest + 1 - uint64(len(set)); s.missing() != want || s.repeated != repeated || s.old != 0 {
			t.Fatalf("%s; %d are missing, %d repeated", &s, want, repeated)
		}
	})
}

// A sequence that goes on past 32 bits is followed, also where it comes out of
// order there.
func TestSequenceBeyond32Bits(t *testing.T) {
	var s sequence
	for n := uint64(1<<32 - 600); n < 1<<32+600; n += 2 {
		for _, v := range []uint64{n + 1, n} {
			if got := s.extend(uint32(v)); got != v {
				t.Fatalf("%#x is taken for %#x", v, got)
			}
			s.note(s.extend(uint32(v)))
		}
	}
	if got, want := s.String(), "4294966696 to 4294967895, none missing"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What is far behind is not told apart, and what begins late is no gap.
func TestSequenceFarBehind(t *testing.T) {
	var s sequence
	s.note(100)
	if gap, _ := s.note(100 + 5*window); gap != 5*window-1 {
		t.Errorf("gap %d", gap)
	}
	s.note(101) // not before the lowest
	s.note(3)
	if got, want := s.String(), "3 to 5220, 5214 missing, 1 more than 1024 behind"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var wild sequence
	wild.note(0)
	wild.note(1<<64 - 1)
	if got := wild.missing(); got != 1<<64-2 {
		t.Errorf("%d missing", got)
	}
}
