package bpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// aFrame is what rules ask of a frame.
type aFrame struct {
	direction  int // 0 in, 1 out
	stag, ctag uint16
	ip         int // 4, 6; 0: no IP
	dscp       int
	protocol   int
	from, to   uint16
	far        netip.Addr
}

// naive is the first of rules that matches, by what Rule says of its fields; -1
// if none does.
func (f aFrame) naive(rules []Rule) int {
	return slices.IndexFunc(rules, func(r Rule) bool {
		ports := f.ip != 0 && slices.Contains([]int{6, 17, 33, 132, 136}, f.protocol)
		return (r.Direction == OfBoth || r.Direction == directionNames[f.direction]) &&
			(r.STag == 0 || r.STag == f.stag) && (r.CTag == 0 || r.CTag == f.ctag) &&
			(r.DSCP < 0 || f.ip != 0 && r.DSCP == f.dscp) &&
			(r.Protocol < 0 || f.ip != 0 && r.Protocol == f.protocol) &&
			(r.Port == 0 || ports && (r.Port == f.from || r.Port == f.to)) &&
			(!r.Prefix.IsValid() || f.ip != 0 && r.Prefix.Contains(f.far))
	})
}

// octets is f on the wire.
func (f aFrame) octets() []byte {
	b := append(append([]byte{}, portAddress[:]...), 2, 0, 0, 0, 0, 2)
	be := binary.BigEndian
	if f.stag != 0 {
		b = be.AppendUint16(be.AppendUint16(b, 0x88a8), f.stag)
	}
	if f.ctag != 0 {
		b = be.AppendUint16(be.AppendUint16(b, 0x8100), f.ctag)
	}
	here := netip.MustParseAddr("192.0.2.1")
	if f.ip == 6 {
		here = netip.MustParseAddr("2001:db8::1")
	}
	source, destination := here, f.far
	if f.direction == 0 {
		source, destination = f.far, here
	}
	l4 := make([]byte, 20)
	be.PutUint16(l4, f.from)
	be.PutUint16(l4[2:], f.to)
	switch f.ip {
	case 4:
		b = be.AppendUint16(b, 0x0800)
		b = append(b, 0x45, byte(f.dscp<<2), 0, 40, 0, 0, 0x40, 0, 64, byte(f.protocol), 0, 0)
	case 6:
		b = be.AppendUint16(b, 0x86dd)
		b = be.AppendUint32(b, 6<<28|uint32(f.dscp)<<22)
		b = append(b, 0, 20, byte(f.protocol), 64)
	default:
		return append(be.AppendUint16(b, 0x0806), make([]byte, 46)...)
	}
	b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	return append(b, l4...)
}

var (
	someVIDs      = []uint16{0, 0, 10, 11, 100, 4094}
	somePorts     = []uint16{53, 5060, 65535}
	someProtocols = []int{1, 6, 17, 50, 58, 132}
	someDSCPs     = []int{0, 10, 46, 63}
	somePrefixes  = []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::2/128"}
	someFars4     = []string{"10.1.2.3", "10.1.2.4", "10.1.3.3", "10.9.9.9", "203.0.113.1"}
	someFars6     = []string{"2001:db8:1::2", "2001:db8:1::3", "2001:db8:9::1", "2001:db9::1"}
)

func genRule(t *rapid.T, i int) Rule {
	sometimes := rapid.IntRange(0, 2)
	r := rule(fmt.Sprintf("rule%d", i), nil)
	r.Direction = rapid.SampledFrom([]string{OfIngress, OfEgress, OfBoth}).Draw(t, "direction")
	r.STag = rapid.SampledFrom(someVIDs).Draw(t, "S-tag")
	r.CTag = rapid.SampledFrom(someVIDs).Draw(t, "C-tag")
	if sometimes.Draw(t, "asks DSCP") == 0 {
		r.DSCP = rapid.SampledFrom(someDSCPs).Draw(t, "DSCP")
	}
	if sometimes.Draw(t, "asks protocol") == 0 {
		r.Protocol = rapid.SampledFrom(someProtocols).Draw(t, "protocol")
	}
	if sometimes.Draw(t, "asks port") == 0 {
		r.Port = rapid.SampledFrom(somePorts).Draw(t, "port")
	}
	if sometimes.Draw(t, "asks prefix") == 0 {
		r.Prefix = netip.MustParsePrefix(rapid.SampledFrom(somePrefixes).Draw(t, "prefix"))
	}
	r.Mark, r.Mask = uint32(i+1), 0xffffffff
	return r
}

func genFrame(t *rapid.T) aFrame {
	f := aFrame{
		direction: rapid.IntRange(0, 1).Draw(t, "direction"),
		stag:      rapid.SampledFrom(someVIDs).Draw(t, "S-tag"), ctag: rapid.SampledFrom(someVIDs).Draw(t, "C-tag"),
		ip: rapid.SampledFrom([]int{0, 4, 4, 6, 6}).Draw(t, "IP"), dscp: rapid.SampledFrom(someDSCPs).Draw(t, "DSCP"),
		protocol: rapid.SampledFrom(someProtocols).Draw(t, "protocol"),
		from:     rapid.SampledFrom(append(somePorts, 1024)).Draw(t, "from"), to: rapid.SampledFrom(append(somePorts, 1024)).Draw(t, "to"),
	}
	fars := someFars4
	if f.ip == 6 {
		fars = someFars6
	}
	f.far = netip.MustParseAddr(rapid.SampledFrom(fars).Draw(t, "far"))
	return f
}

// Compiled rules, run by the kernel, say of every frame what reading them one
// after the other says.
func TestRulesCompiled(t *testing.T) {
	sets := 8 // the verifier takes a tenth of a second each
	if os.Getenv("LINKSEAL_SOAK") != "" {
		sets = 400
	}
	for i := range sets {
		rules := rapid.Custom(func(r *rapid.T) (rules []Rule) {
			for i := range []int{MaxRules, 2, 10, 1, 30, 3}[i%6] {
				rules = append(rules, genRule(r, i))
			}
			return rules
		}).Example(i)
		obj := loadedTags(t, rules)
		rapid.Check(t, func(r *rapid.T) {
			for range 10 {
				f := genFrame(r)
				p := obj.LinksealTx
				if f.direction == 0 {
					p = obj.LinksealRx
				}
				out, _ := runTags(t, p, f.octets(), testSkb{})
				if got, want := int(out.Mark)-1, f.naive(rules); got != want {
					r.Fatalf("%+v matches %d, want %d, of\n%+v", f, got, want, rules)
				}
			}
		})
	}
}

// What the programs carry is read back as it was written, and a class that
// stays keeps its counters, which none that comes gets.
func TestRulesWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		draw := func(label string) (rules []Rule) {
			for i, on := range rapid.SliceOfN(rapid.Bool(), MaxRules, MaxRules).Draw(r, label) {
				if on {
					rules = append(rules, genRule(r, i))
				}
			}
			return rules
		}
		first := draw("first")
		a, err := compile(first, nil)
		if err != nil {
			r.Fatal(err)
		}
		second := draw("second")
		b, err := compile(second, &a.written)
		if err != nil {
			r.Fatal(err)
		}
		slot, used := map[string]uint8{}, map[uint8]bool{0: true}
		for i, rule := range first {
			w := securedTagRule(a.written.Rule[i])
			if got := readRule(w); got != rule {
				r.Fatalf("read as %+v, written as %+v", got, rule)
			}
			slot[rule.Name] = w.Slot
			used[w.Slot] = true
		}
		if len(used) != len(first)+1 {
			r.Fatalf("%d slots for %d classes", len(used), len(first))
		}
		for i, rule := range second {
			got := b.written.Rule[i].Slot
			if was, stays := slot[rule.Name]; stays && got != was || !stays && used[got] {
				r.Fatalf("class %s has slot %d, had %d (%v); in use were %v", rule.Name, got, was, stays, used)
			}
			if fresh := slices.Contains(b.fresh, got); fresh == (slot[rule.Name] != 0) {
				r.Fatalf("class %s: cleared %v", rule.Name, fresh)
			}
			used[got] = true
		}
	})
}

func TestRulesRefused(t *testing.T) {
	for want, change := range map[string]func(*Rule){
		`rule "": a name of 1 to 63 octets is accepted`:                               func(r *Rule) { r.Name = "" },
		`rule a: direction "up"; ingress, egress or both is accepted`:                 func(r *Rule) { r.Direction = "up" },
		"rule a: VID 4095; 1 to 4094 is accepted":                                     func(r *Rule) { r.CTag = 4095 },
		"rule a: DSCP 64, to set -1; 0 to 63 is accepted":                             func(r *Rule) { r.DSCP = 64 },
		"rule a: protocol 255; 0 to 254 is accepted":                                  func(r *Rule) { r.Protocol = 255 },
		"rule a: priority 4294967296; 0 to 4294967295 is accepted":                    func(r *Rule) { r.Priority = 1 << 32 },
		"rule a: mark 0x10 has bits outside its mask 0x1":                             func(r *Rule) { r.Mark, r.Mask = 0x10, 1 },
		"rule a: prefix 10.0.0.1/8; a network without host bits is accepted":          func(r *Rule) { r.Prefix = netip.MustParsePrefix("10.0.0.1/8") },
		"rule a: prefix ::ffff:10.0.0.0/104; a network without host bits is accepted": func(r *Rule) { r.Prefix = netip.MustParsePrefix("::ffff:10.0.0.0/104") },
		"rule b: the name is that of a rule before it":                                func(r *Rule) { r.Name = "b" },
	} {
		if _, err := compile([]Rule{rule("b", nil), rule("a", change)}, nil); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := compile(make([]Rule, MaxRules+1), nil); err == nil || err.Error() != "65 rules; up to 64 are accepted" {
		t.Error(err)
	}
}
