package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// rule is one that matches what leaves, whatever it is, and sets nothing.
func rule(name string, change func(*Rule)) Rule {
	r := Rule{Name: name, Direction: OfEgress, DSCP: -1, Protocol: -1, Priority: -1, SetDSCP: -1}
	if change != nil {
		change(&r)
	}
	return r
}

// classed are the rules of tagPackets.
var classed = []Rule{
	rule("voice", func(r *Rule) {
		r.STag, r.CTag, r.DSCP, r.Protocol, r.Port = 100, 10, 46, 17, 5060
		r.Mark, r.Mask, r.Priority, r.SetDSCP = 0x10, 0xff, 6, 34
	}),
	rule("circuit", func(r *Rule) { r.STag = 100; r.Direction, r.Mark, r.Mask = OfBoth, 0x20, 0xffffffff }),
	rule("customer", func(r *Rule) { r.CTag = 11; r.Priority = 3 }),
	rule("site", func(r *Rule) {
		r.Prefix = netip.MustParsePrefix("10.1.0.0/16")
		r.Direction, r.Mark, r.Mask, r.SetDSCP = OfBoth, 0x30, 0xf0, 18
	}),
	rule("host", func(r *Rule) { r.Prefix, r.Mark, r.Mask = netip.MustParsePrefix("10.1.2.3/32"), 0x31, 0xff }),
	rule("six", func(r *Rule) {
		r.Prefix, r.Priority, r.SetDSCP = netip.MustParsePrefix("2001:db8:1::/48"), 5, 46
	}),
	rule("dns", func(r *Rule) { r.Port, r.Priority = 53, 4 }),
	rule("ping", func(r *Rule) { r.Protocol, r.Priority = 1, 2 }),
	rule("expedited", func(r *Rule) { r.DSCP, r.Direction = 46, OfBoth }),
}

const (
	macs = peerMAC + portMAC
)

// datagram is IPv4 over Ethernet, its checksum right.
func datagram(tags, tos, fragment, protocol, from, to, rest string) string {
	h := "45" + tos + fmt.Sprintf("%04x", 20+len(rest)/2) + "0001" + fragment + "40" + protocol + "0000" + from + to
	b, _ := decode(h)
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	return macs + tags + "0800" + fmt.Sprintf("%x", b) + rest
}

func datagram6(tags, class, next, from, to, rest string) string {
	return macs + tags + "86dd" + "6" + class + "00000" + fmt.Sprintf("%04x", len(rest)/2) + next + "40" + from + to + rest
}

func decode(s string) ([]byte, error) {
	var b []byte
	_, err := fmt.Sscanf(s, "%x", &b)
	return b, err
}

// checksum is RFC 1071's of octets whose own checksum is 0.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

const (
	qinq    = "88a80064" + "8100000a"
	source4 = "c0000201"
	far     = "0a010203"
	else4   = "0a020304"
	sip     = "13c4" + "13c4" + "00080000"
	toDNS   = "9c40" + "0035" + "00080000"
	source6 = "20010db8000000000000000000000001"
	far6    = "20010db8000100000000000000000002"
	else6   = "20010db8000200000000000000000002"
	before  = 0xabcd0000 // the mark before
)

// tagPackets is both the test and the benchmark: the class that a frame gets on
// its way out and in, and what is set on it.
var tagPackets = []struct {
	name     string
	frame    string // without padding
	out, in  string // class
	mark     uint32 // on its way out
	priority uint32
	tos      string // out; "" as before
}{
	{"all that voice asks", datagram(qinq, "b9", "4000", "11", source4, else4, sip), "voice", "circuit", before | 0x10, 6, "89"},
	{"voice of another C-tag", datagram("88a80064"+"8100000b", "b8", "4000", "11", source4, else4, sip), "circuit", "circuit", 0x20, 0, ""},
	{"voice of another port", datagram(qinq, "b8", "4000", "11", source4, else4, toDNS), "circuit", "circuit", 0x20, 0, ""},
	{"voice over TCP", datagram(qinq, "b8", "4000", "06", source4, else4, sip), "circuit", "circuit", 0x20, 0, ""},
	{"voice, a later fragment", datagram(qinq, "b8", "0001", "11", source4, else4, sip), "circuit", "circuit", 0x20, 0, ""},
	{"voice, the first fragment", datagram(qinq, "b8", "2000", "11", source4, else4, sip), "voice", "circuit", before | 0x10, 6, "88"},
	{"one S-tag", datagram("88a80064", "00", "4000", "11", source4, else4, sip), "circuit", "circuit", 0x20, 0, ""},
	{"one C-tag", datagram("8100000b", "00", "4000", "11", source4, else4, sip), "customer", "", before, 3, ""},
	{"a C-tag with a priority", datagram("8100a00b", "00", "4000", "11", source4, else4, sip), "customer", "", before, 3, ""},
	{"the S-tag's number as a C-tag", datagram("81000064", "00", "4000", "11", source4, else4, sip), "", "", before, 0, ""},
	{"to the site", datagram("", "03", "4000", "11", source4, far, sip), "site", "", before | 0x30, 0, "4b"},
	{"from the site", datagram("", "00", "4000", "11", far, source4, sip), "", "site", before, 0, ""},
	{"DSCP is right already", datagram("", "48", "4000", "11", source4, far, sip), "site", "", before | 0x30, 0, ""},
	{"to an IPv6 prefix", datagram6("", "03", "11", source6, far6, sip), "six", "", before, 5, "bb"},
	{"to another IPv6 prefix", datagram6("", "00", "11", source6, else6, sip), "", "", before, 0, ""},
	{"DNS", datagram("", "00", "4000", "11", source4, else4, toDNS), "dns", "", before, 4, ""},
	{"DNS over TCP", datagram("", "00", "4000", "06", source4, else4, toDNS), "dns", "", before, 4, ""},
	{"DNS over IPv6 behind extensions", datagram6("", "00", "00", source6, else6, "3c00000000000000"+"1100000000000000"+toDNS), "dns", "", before, 4, ""},
	{"DNS over IPv6, a later fragment", datagram6("", "00", "2c", source6, else6, "1100000900000000"+toDNS), "", "", before, 0, ""},
	{"DNS over IPv6, the first fragment", datagram6("", "00", "2c", source6, else6, "1100000100000000"+toDNS), "dns", "", before, 4, ""},
	{"DNS's port where there are none", datagram("", "00", "4000", "2f", source4, else4, toDNS), "", "", before, 0, ""},
	{"ICMP", datagram("", "00", "4000", "01", source4, else4, "0800000000000000"), "ping", "", before, 2, ""},
	{"ICMP over IPv6, a later fragment", datagram6("", "00", "2c", source6, else6, "0100000900000000"+toDNS), "ping", "", before, 2, ""},
	{"ICMP, a later fragment", datagram("", "00", "0001", "01", source4, else4, "0800000000000000"), "ping", "", before, 2, ""},
	{"expedited", datagram("", "b8", "4000", "06", source4, else4, sip), "expedited", "expedited", before, 0, ""},
	{"expedited, IPv6", datagram6("", "b8", "06", source6, else6, sip), "expedited", "expedited", before, 0, ""},
	{"ARP", macs + "0806" + "0001080006040001", "", "", before, 0, ""},
	{"ARP in the circuit", macs + qinq + "0806" + "0001080006040001", "circuit", "circuit", 0x20, 0, ""},
	{"IPv4 by its EtherType alone", macs + "0800" + "65b8" + strings.Repeat("00", 40), "", "", before, 0, ""},
}

// testSkb is struct __sk_buff as far as a test run takes and gives it.
type testSkb struct {
	_        [2]uint32
	Mark     uint32
	_        [5]uint32
	Priority uint32
	_        [31]uint32
	WireLen  uint32
	Segs     uint32
	_        uint64
	SegSize  uint32
	_        [3]uint32
}

func loadedTags(t testing.TB, rules []Rule) *taggerObjects {
	t.Helper()
	probetest.Need(t, probe.BPF)
	obj, err := loadTags(rules, taggers{})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { obj.Close() })
	return obj
}

func runTags(t testing.TB, p *ebpf.Program, frame []byte, in testSkb) (out testSkb, after []byte) {
	t.Helper()
	after = make([]byte, len(frame)+64)
	o := ebpf.RunOptions{Data: frame, DataOut: after, Context: in, ContextOut: &out, Repeat: 1}
	got, err := p.Run(&o)
	if err != nil || got != tcNext {
		t.Fatalf("answers %d, %v; every frame passes", int32(got), err)
	}
	return out, o.DataOut
}

// countedTags reads the counters of programs that are not attached.
func countedTags(t testing.TB, obj *taggerObjects, rules []Rule) ([]Circuit, []Class) {
	t.Helper()
	c, err := compile(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps := mapsByName{securedMapNearCircuits: obj.NearCircuits, securedMapCircuits: obj.Circuits, securedMapUntagged: obj.Untagged, securedMapClasses: obj.Classes}
	tg := &tagger{program: &program{maps: maps}, rules: c.written}
	r, err := tg.read()
	if err != nil {
		t.Fatal(err)
	}
	return r.Circuits, r.Classes
}

func TestTagPackets(t *testing.T) {
	obj := loadedTags(t, classed)
	for _, tt := range tagPackets {
		t.Run(tt.name, func(t *testing.T) {
			_, was := countedTags(t, obj, classed)
			frame := octets(t, tt.frame, 60)
			out, after := runTags(t, obj.LinksealTx, frame, testSkb{Mark: before})
			if out.Mark != tt.mark || out.Priority != tt.priority {
				t.Errorf("mark 0x%x, priority %d; want 0x%x, %d", out.Mark, out.Priority, tt.mark, tt.priority)
			}
			want := bytes.Clone(frame)
			if tt.tos != "" {
				setTOS(t, want, tt.tos)
			}
			if !bytes.Equal(after, want) {
				t.Errorf("the frame leaves as\n%x, want\n%x", after, want)
			}
			runTags(t, obj.LinksealRx, frame, testSkb{})
			_, classes := countedTags(t, obj, classed)
			for i, c := range classes {
				c.Packets -= was[i].Packets
				c.Octets -= was[i].Octets
				n := Counter{}
				if c.Direction == OfEgress && c.Name == tt.out || c.Direction == OfIngress && c.Name == tt.in {
					n = Counter{1, uint64(len(frame))}
				}
				if c.Counter != n || n.Packets > 0 && c.Seen.IsZero() {
					t.Errorf("%s of class %q: %+v, want %+v", c.Direction, c.Name, c.Traffic, n)
				}
			}
		})
	}
}

// A super-packet counts as what it becomes: each segment has all headers.
func TestTagSuperPackets(t *testing.T) {
	tcp := "1388" + "1388" + strings.Repeat("00", 8) + "80" + strings.Repeat("00", 19) // 32 octets
	udp := sip
	const ethernet, options4, options6 = 14, 20 + 32, 40 + 32
	for name, tt := range map[string]struct {
		frame      string
		head       int // octets before the payload
		payload    int
		segs, size int // as the kernel says
		want       Counter
	}{
		"TCP":                      {datagram("", "00", "4000", "06", source4, far, tcp), ethernet + options4, 3000, 3, 1000, Counter{3, 3000 + 3*66}},
		"TCP, the last is shorter": {datagram("", "00", "4000", "06", source4, far, tcp), ethernet + options4, 2001, 3, 1000, Counter{3, 2001 + 3*66}},
		"TCP out of a tap":         {datagram("", "00", "4000", "06", source4, far, tcp), ethernet + options4, 2001, 0, 1000, Counter{3, 2001 + 3*66}},
		"one segment":              {datagram("", "00", "4000", "06", source4, far, tcp), ethernet + options4, 1000, 0, 1000, Counter{1, 1066}},
		"TCP over IPv6, tagged":    {datagram6(qinq, "00", "06", source6, far6, tcp), ethernet + 8 + options6, 2000, 0, 1000, Counter{2, 2000 + 2*94}},
		"UDP":                      {datagram("", "00", "4000", "11", source4, far, udp), ethernet + 28, 900, 0, 100, Counter{9, 900 + 9*42}},
	} {
		t.Run(name, func(t *testing.T) {
			obj := loadedTags(t, nil)
			frame := octets(t, tt.frame, tt.head+tt.payload)
			super := testSkb{Segs: uint32(tt.segs), SegSize: uint32(tt.size), WireLen: uint32(tt.want.Octets)}
			runTags(t, obj.LinksealRx, frame, super)
			runTags(t, obj.LinksealTx, frame, super)
			circuits, classes := countedTags(t, obj, nil)
			if len(circuits) != 2 || len(classes) != 2 {
				t.Fatalf("%+v, %+v", circuits, classes)
			}
			for i := range 2 {
				if circuits[i].Counter != tt.want || classes[i].Counter != tt.want {
					t.Errorf("%s: circuit %+v, class %+v; want %+v", circuits[i].Direction, circuits[i].Counter, classes[i].Counter, tt.want)
				}
			}
		})
	}
}

// setTOS writes the octet into the frame's IP header, by the book.
func setTOS(t *testing.T, frame []byte, tos string) {
	t.Helper()
	b, err := decode(tos)
	if err != nil {
		t.Fatal(err)
	}
	at := 12
	for binary.BigEndian.Uint16(frame[at:]) == 0x88a8 || binary.BigEndian.Uint16(frame[at:]) == 0x8100 {
		at += 4
	}
	h := frame[at+2:]
	if h[0]>>4 == 6 {
		h[0], h[1] = 0x60|b[0]>>4, b[0]<<4|h[1]&15
		return
	}
	h[1], h[10], h[11] = b[0], 0, 0
	binary.BigEndian.PutUint16(h[10:], checksum(h[:20]))
}

func BenchmarkTagPackets(b *testing.B) {
	obj := loadedTags(b, classed)
	for _, tt := range tagPackets {
		frame := octets(b, tt.frame, 60)
		for name, prog := range map[string]*ebpf.Program{"ingress": obj.LinksealRx, "egress": obj.LinksealTx} {
			b.Run(fmt.Sprintf("%s/%s", tt.name, name), func(b *testing.B) {
				_, took, err := prog.Benchmark(frame, b.N, b.ResetTimer)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
			})
		}
	}
}
