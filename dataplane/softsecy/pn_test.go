package softsecy

import (
	"math"
	"math/big"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

func TestRecoverPN(t *testing.T) {
	for _, c := range []struct {
		low  uint32
		next uint64
		want uint64
	}{
		{1, 1, 1},
		{0xffffffff, 0x5_fffffff0, 0x5_ffffffff},
		{0, 0x5_fffffff0, 0x6_00000000},
		{0xfffffff0, 0x6_00000003, 0x5_fffffff0}, // overtaken
		{0x80000002, 0x6_00000003, 0x6_80000002},
		{0x80000003, 0x6_00000003, 0x5_80000003}, // as far up as down
		{0x80000004, 0x6_00000003, 0x5_80000004},
		{0xfffffff0, 3, 0xfffffff0}, // none is negative
		{0, 3, 1 << 32},             // nor 0
		{5, math.MaxUint64 - 2, math.MaxUint64 - 0xffffffff + 5},
	} {
		if got := RecoverPN(c.low, c.next); got != c.want {
			t.Errorf("RecoverPN(%#x, %#x) = %#x, want %#x", c.low, c.next, got, c.want)
		}
	}
}

// nearest is RecoverPN's rule, tried out.
func nearest(low uint32, next uint64) uint64 {
	var best, least *big.Int
	for high := -1; high <= 1; high++ {
		pn := new(big.Int).SetUint64(next >> 32)
		pn.Add(pn, big.NewInt(int64(high))).Lsh(pn, 32).Add(pn, big.NewInt(int64(low)))
		if pn.Sign() <= 0 || !pn.IsUint64() {
			continue
		}
		far := new(big.Int).Sub(pn, new(big.Int).SetUint64(next))
		if far.Abs(far); least == nil || far.Cmp(least) < 0 {
			best, least = pn, far
		}
	}
	return best.Uint64()
}

func TestRecoverPNIsNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		high := rapid.SampledFrom([]uint64{0, 1, 2, math.MaxUint32 - 1, math.MaxUint32}).Draw(t, "high")
		near := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 5), rapid.Uint32Range(1<<31-5, 1<<31+5), rapid.Uint32Range(math.MaxUint32-5, math.MaxUint32))
		next := max(high<<32|uint64(near.Draw(t, "next")), 1)
		low := near.Draw(t, "low")
		if got, want := RecoverPN(low, next), nearest(low, next); got != want {
			t.Errorf("RecoverPN(%#x, %#x) = %#x, want %#x", low, next, got, want)
		}
	})
}

// TestOutPNRace has many take at the ends: each PN is given once, and after
// the last none.
func TestOutPNRace(t *testing.T) {
	const left = 1000
	for _, last := range []uint64{lastPN(sa.GCMAES128), lastPN(sa.GCMAESXPN128)} {
		p := &outPN{last: last}
		p.used.Store(last - left)
		var mu sync.Mutex
		seen := map[uint64]int{}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				var mine []uint64
				for range left {
					if pn, ok := p.take(); ok {
						mine = append(mine, pn)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				for _, pn := range mine {
					seen[pn]++
				}
			})
		}
		wg.Wait()
		if len(seen) != left {
			t.Errorf("%d PNs, want %d", len(seen), left)
		}
		for i := range uint64(left) {
			if n := seen[last-i]; n != 1 {
				t.Errorf("PN %#x given %d times", last-i, n)
			}
		}
		if p.next() != 0 {
			t.Errorf("next %#x after the last", p.next())
		}
	}
}

// TestInPN holds inPN to the standard's nextPN and lowestPN, in numbers
// without end.
func TestInPN(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pns := rapid.OneOf(rapid.Uint64Range(1, 30), rapid.Uint64Range(math.MaxUint64-30, math.MaxUint64))
		window := rapid.OneOf(rapid.Uint64Range(0, 4), rapid.Just(uint64(math.MaxUint32))).Draw(t, "window")
		start := pns.Draw(t, "start")
		var p inPN
		p.start(start)
		next, lowest := new(big.Int).SetUint64(start), new(big.Int).SetUint64(start)
		raise := func(to *big.Int) {
			if to.Cmp(lowest) > 0 {
				lowest.Set(to)
			}
		}
		raise(new(big.Int).Sub(next, new(big.Int).SetUint64(window)))
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			pn := pns.Draw(t, "pn")
			b := new(big.Int).SetUint64(pn)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				p.raise(pn)
				raise(b)
				if next.Cmp(b) < 0 {
					next.Set(b)
				}
			case 1:
				p.keep(window)
				window = rapid.Uint64Range(0, 8).Draw(t, "new window")
			default:
				want := b.Cmp(lowest) >= 0
				if got := p.accept(pn, window); got != want {
					t.Fatalf("accept(%#x, %d) = %v; next %#x, lowest %#x", pn, window, got, next, lowest)
				}
				if b.Cmp(next) >= 0 {
					next.Add(b, big.NewInt(1))
				}
			}
			raise(new(big.Int).Sub(next, new(big.Int).SetUint64(window)))
			if next.IsUint64() && p.next(math.MaxUint64) != next.Uint64() || !next.IsUint64() && p.next(math.MaxUint64) != math.MaxUint64 {
				t.Fatalf("next %#x, want %#x", p.next(math.MaxUint64), next)
			}
		}
	})
}
