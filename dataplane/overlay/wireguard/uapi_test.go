package wireguard

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// What differs is said, and nothing else: in the protocol's words and in
// wgctrl's alike.
func TestPeerChanges(t *testing.T) {
	one := peer{
		public: identity.Public{0xab}, psk: secret.New(bytes.Repeat([]byte{0x11}, 32)), name: "one",
		endpoint: netip.MustParseAddrPort("[2001:db8::1]:51820"), keepalive: 25 * time.Second, allowed: prefixes("10.0.0.0/8", "2001:db8:1::/48"),
	}
	with := func(f func(*peer)) peer { p := one; f(&p); return p }
	found := peer{public: one.public, keep: true, keepalive: one.keepalive, allowed: one.allowed}
	const key = "public_key=ab00000000000000000000000000000000000000000000000000000000000000\n"
	const old = key + "update_only=true\n"
	psk := "preshared_key=" + strings.Repeat("11", 32) + "\n"
	for _, tc := range []struct {
		name     string
		from     *peer
		to       peer
		want     string
		endpoint bool // the kernel is told it too
		replace  bool // the kernel's allowed IPs are replaced
	}{
		{"new", nil, one, key + psk + "endpoint=[2001:db8::1]:51820\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=2001:db8:1::/48\n", true, false},
		{"another PSK", &one, with(func(p *peer) { p.name = "two" }), old + psk, false, false},
		{"no PSK", &one, with(func(p *peer) { p.name, p.psk = "", nil }), old + "preshared_key=" + strings.Repeat("00", 32) + "\n", false, false},
		{"a PSK that is kept", &one, with(func(p *peer) { p.keep, p.name, p.psk = true, "", nil }), old, false, false},
		{"found, and then a PSK", &found, one, old + psk, false, false},
		{"an address again", &one, with(func(p *peer) { p.redirect++ }), old + "endpoint=[2001:db8::1]:51820\n", true, false},
		{"more and fewer networks", &one, with(func(p *peer) { p.allowed = prefixes("10.0.0.0/8", "192.0.2.0/24") }), old + "allowed_ip=192.0.2.0/24\nallowed_ip=-2001:db8:1::/48\n", false, true},
		{"keepalive off", &one, with(func(p *peer) { p.keepalive = 0 }), old + "persistent_keepalive_interval=0\n", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := string(appendPeer(nil, tc.from, tc.to))
			want := tc.want
			if tc.name == "found, and then a PSK" {
				// In this process nothing is ever found.
				want += "endpoint=[2001:db8::1]:51820\n"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c := change(tc.from, tc.to)
			if (c.Endpoint != nil) != tc.endpoint || c.ReplaceAllowedIPs != tc.replace || c.UpdateOnly != (tc.from != nil) {
				t.Errorf("to the kernel: %+v", c)
			}
			if has := strings.Contains(tc.want, "preshared_key"); has != (c.PresharedKey != nil) ||
				has && hex.EncodeToString(c.PresharedKey[:]) != strings.TrimPrefix(strings.Fields(tc.want[strings.Index(tc.want, "preshared_key"):])[0], "preshared_key=") {
				t.Errorf("the PSK to the kernel: %v", c.PresharedKey != nil)
			}
			if tc.from != nil && !tc.to.keep && same(*tc.from, tc.to) {
				t.Error("and yet it is taken to be the same")
			}
		})
	}
	if !same(one, one) {
		t.Error("a peer differs from itself")
	}
}

func TestParse(t *testing.T) {
	key := func(b byte) string { return strings.Repeat(hex.EncodeToString([]byte{b}), 32) }
	text := "private_key=" + key(1) + "\nlisten_port=51820\npublic_key=" + key(2) + "\npreshared_key=" + key(3) +
		"\nprotocol_version=1\nendpoint=192.0.2.1:51820\nlast_handshake_time_sec=7\nlast_handshake_time_nsec=5\ntx_bytes=9\nrx_bytes=8\nallowed_ip=10.0.0.0/8\n" +
		"public_key=" + key(4) + "\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n"
	buf := []byte(text)
	var all map[identity.Public]reading
	if n, err := (reader{&all}).Write(buf); err != nil || n != len(text) {
		t.Fatal(n, err)
	}
	if len(bytes.Trim(buf, "\x00")) != 0 {
		t.Error("what was read, keys among it, is left")
	}
	want := map[identity.Public]reading{
		identity.Public(bytes.Repeat([]byte{2}, 32)): {endpoint: netip.MustParseAddrPort("192.0.2.1:51820"), handshake: time.Unix(7, 5), rx: 8, tx: 9},
		identity.Public(bytes.Repeat([]byte{4}, 32)): {},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(reading{}), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"public_key=00", "public_key=" + strings.Repeat("x", 64), "endpoint=nowhere", "rx_bytes=-1"} {
		if _, err := parse([]byte(bad + "\n")); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A handshake keeps its place when the wall clock is set.
func TestStamp(t *testing.T) {
	now := time.Now()
	wall := func(d time.Duration) time.Time { return now.Round(0).Add(d) }
	for _, tc := range []struct {
		name  string
		walls []time.Time // looked at a second apart
		want  time.Duration
	}{
		{"found", []time.Time{wall(-100 * time.Second)}, -100 * time.Second},
		{"none", []time.Time{{}}, 0},
		{"found, in the future", []time.Time{wall(time.Hour)}, 0},
		{"new", []time.Time{{}, wall(500 * time.Millisecond)}, 500 * time.Millisecond},
		{"new, by a clock that was set back", []time.Time{wall(-10 * time.Second), wall(-time.Hour)}, 0},
		{"the same", []time.Time{wall(-10 * time.Second), wall(-10 * time.Second), wall(-10 * time.Second)}, -10 * time.Second},
		{"gone", []time.Time{wall(-10 * time.Second), {}}, 0},
	} {
		var s stamp
		for i, w := range tc.walls {
			s.see(w, now.Add(time.Duration(i)*time.Second))
		}
		want := now.Add(tc.want)
		if tc.walls[len(tc.walls)-1].IsZero() {
			want = time.Time{}
		}
		if d := s.mono.Sub(want).Abs(); d > time.Microsecond {
			t.Errorf("%s: off by %v", tc.name, d)
		}
	}
}
