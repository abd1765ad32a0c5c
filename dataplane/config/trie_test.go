package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTrie(t *testing.T) {
	prefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), 0})
		bits := rapid.IntRange(0, 32)
		if rapid.Bool().Draw(t, "six") {
			a = netip.AddrFrom16([16]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), 15: byte(rapid.IntRange(0, 3).Draw(t, "p"))})
			bits = rapid.IntRange(0, 128)
		}
		return netip.PrefixFrom(a, bits.Draw(t, "bits"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var set trie
		all := rapid.SliceOfN(prefix, 0, 8).Draw(t, "all")
		for _, p := range all {
			set.add(p)
		}
		p := prefix.Draw(t, "p")
		if got, want := set.overlaps(p), slices.ContainsFunc(all, p.Overlaps); got != want {
			t.Errorf("%s overlaps %v: %v", p, all, got)
		}
	})
}

// A thousand tunnels are held against each other in about four times what 250 take, a
// reload waits for it: each held against each would take sixteen times as long.
func TestThousandTunnels(t *testing.T) {
	few, many := tunnelsOf(tunnelsWithPrefixes(250)), tunnelsOf(tunnelsWithPrefixes(1000))
	took := func(text string) time.Duration {
		start := time.Now()
		if _, err := Parse("t.yaml", text); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	a, b := time.Hour, time.Hour
	for try := 0; try < 3 || try < 20 && b > 8*a; try++ { // the machine may be busy
		a, b = min(a, took(few)), min(b, took(many))
	}
	t.Logf("250: %v, 1,000: %v", a, b)
	if b > 8*a {
		t.Errorf("1,000 tunnels take %v, 250 %v: %.1f times as long", b, a, float64(b)/float64(a))
	}
}

// tunnelsWithPrefixes are so many tunnels of a configuration, each with 16 prefixes.
func tunnelsWithPrefixes(count int) string {
	var b strings.Builder
	for i := range count {
		var protect []string
		for n := range 16 {
			protect = append(protect, fmt.Sprintf("10.%d.%d.%d/32", 32+i/256, i%256, n))
		}
		fmt.Fprintf(&b, "  - {name: t%d, type: wireguard, device: eth1, interface: w%d, local: 10.0.0.4, remote: 10.9.0.5, addresses: [172.16.%d.%d/31], protect: [%s], wireguard: {port: %d, peer_public_key: \"%s\"}}\n",
			i, i, i/128, i%128*2, strings.Join(protect, ", "), 10000+i, oneKey)
	}
	return b.String()
}
