package route

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var sameAddress = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func genPrefix(t *rapid.T) netip.Prefix {
	b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
	a := netip.AddrFrom16([16]byte(b))
	if rapid.Bool().Draw(t, "ipv4") {
		a = netip.AddrFrom4([4]byte(b[:4]))
	} else if a.Is4In6() {
		a = netip.IPv6Unspecified()
	}
	return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
}

// What is written is read.
func TestRouteCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Route{Table: rapid.IntRange(1, 1<<31-1).Draw(t, "table"), Prefix: genPrefix(t), Metric: rapid.Uint32().Draw(t, "metric"),
			Type: rapid.SampledFrom([]Type{Unicast, Unreachable, Throw, Blackhole}).Draw(t, "type")}
		if r.Type == Unicast {
			n := rapid.IntRange(1, 4).Draw(t, "nexthops")
			for i := range n {
				hop := Nexthop{Index: i + 1}
				if n > 1 && r.Prefix.Addr().Is6() {
					hop.Gateway = multiple
				}
				r.Nexthops = append(r.Nexthops, hop)
			}
		}
		b, err := r.encode(false)
		if err != nil {
			t.Fatal(err)
		}
		back, ok, err := decodeRoute(b)
		if d := cmp.Diff(r, back, sameAddress); d != "" || !ok || err != nil {
			t.Fatalf("%v, %v, %s", ok, err, d)
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	for name, r := range map[string]Route{
		"no prefix":    {Table: 1, Type: Unreachable},
		"no table":     {Prefix: netip.MustParsePrefix("10.0.0.0/8"), Type: Unreachable},
		"mapped":       {Table: 1, Prefix: netip.MustParsePrefix("::ffff:10.0.0.0/104"), Type: Unreachable},
		"no interface": {Table: 1, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Type: Unicast},
	} {
		if b, err := r.encode(false); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}

func TestDecode(t *testing.T) {
	// As Linux 6.18 sends it: ip route show table 19539, of two nexthops of
	// which the first is dead.
	multipath := append(header{family: IPv4, dstLen: 16, table: unix.RT_TABLE_COMPAT, typ: Unicast}.append(nil),
		8, 0, unix.RTA_DST, 0, 10, 20, 0, 0,
		8, 0, unix.RTA_TABLE, 0, 0x53, 0x4c, 0, 0,
		20, 0, unix.RTA_MULTIPATH, 0, 8, 0, unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN, 0, 7, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0)
	r, ok, err := decodeRoute(multipath)
	want := Route{Table: 19539, Prefix: netip.MustParsePrefix("10.20.0.0/16"), Type: Unicast, Nexthops: []Nexthop{{Index: 7, Dead: true}, {Index: 9}}}
	if d := cmp.Diff(want, r, sameAddress); d != "" || !ok || err != nil {
		t.Errorf("%v %v %s", ok, err, d)
	}
	lo := append(header{family: IPv6, dstLen: 32, table: 100, typ: Unreachable}.append(nil), 8, 0, unix.RTA_OIF, 0, 1, 0, 0, 0)
	if r, ok, err := decodeRoute(lo); !ok || err != nil || r.Nexthops != nil || r.Table != 100 {
		t.Errorf("an unreachable route by lo: %+v, %v, %v", r, ok, err)
	}
	cached := slices.Clone(lo)
	native.PutUint32(cached[8:], rtmCloned)
	for name, b := range map[string][]byte{"cached": cached, "of a bridge": header{family: 7}.append(nil)} {
		if _, ok, err := decodeRoute(b); ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	short := slices.Clone(multipath)
	short[len(short)-16] = 40 // the first nexthop's length
	for name, b := range map[string][]byte{"cut": lo[:11], "bits": header{family: IPv4, dstLen: 33}.append(nil), "nexthop": short,
		"family": append(header{family: IPv6}.append(nil), 8, 0, unix.RTA_DST, 0, 10, 0, 0, 0)} {
		if _, ok, err := decodeRoute(b); ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

func TestDecodeRule(t *testing.T) {
	plain, err := Rule{Family: IPv4, Priority: 5210, Table: 19539}.encode()
	if err != nil {
		t.Fatal(err)
	}
	with := func(attrs ...byte) []byte { return append(slices.Clone(plain), attrs...) }
	invert := slices.Clone(plain)
	native.PutUint32(invert[8:], fibRuleInvert)
	source := slices.Clone(plain)
	source[2] = 8
	unreachable := slices.Clone(plain)
	unreachable[7] = 7
	onward := with(8, 0, fraGoto, 0, 0, 0, 0, 0)
	native.PutUint32(onward[len(onward)-4:], 32766)
	onward[7] = actionGoto
	nowhere := slices.Clone(onward)
	native.PutUint32(nowhere[8:], fibRuleUnresolved)
	want := Rule{Family: IPv4, Priority: 5210, Table: 19539, All: true}
	selective := want
	selective.All = false
	l3, none := selective, want
	l3.L3, none.Table = true, 0
	goes := none
	goes.Goto = 32766
	for name, c := range map[string]struct {
		b    []byte
		want Rule
	}{
		"plain":      {plain, want},
		"protocol":   {with(5, 0, fraProtocol, 0, 2, 0, 0, 0), want},
		"suppressed": {with(8, 0, fraSuppressPrefixLen, 0, 0, 0, 0, 0), selective},
		"none is":    {with(8, 0, fraSuppressPrefixLen, 0, 0xff, 0xff, 0xff, 0xff), want},
		"a mark":     {with(8, 0, 10, 0, 1, 0, 0, 0), selective},
		"inverted":   {invert, selective},
		"a source":   {source, selective},
		"of VRFs":    {with(5, 0, fraL3mdev, 0, 1, 0, 0, 0), l3},
		"no table":   {unreachable, none},
		"goto":       {onward, goes},
		"no target":  {nowhere, none},
	} {
		got, err := decodeRule(c.b)
		if d := cmp.Diff(c.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	if _, err := decodeRule(plain[:4]); err == nil {
		t.Error("a cut message is read")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(header{family: IPv4}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok, err := decodeRoute(b); ok && err == nil && !r.Prefix.IsValid() {
			t.Errorf("%+v", r)
		}
		_, _ = decodeRule(b)
	})
}
