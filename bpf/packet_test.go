package bpf

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// As the programs answer the kernel.
const (
	xdpDrop  = 1
	xdpPass  = 2
	tcNext   = 0xffffffff
	tcShot   = 2
	portMAC  = "020000000001"
	peerMAC  = "020000000002"
	otherMAC = "020000000003"
	pae      = "0180c2000003"
	secSCI   = otherMAC + "0001"
)

var (
	portAddress = [6]byte{2, 0, 0, 0, 0, 1}
	paeGroup    = [6]byte{1, 0x80, 0xc2, 0, 0, 3}
	broadcast   = [6]byte{255, 255, 255, 255, 255, 255}
	plain       = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e}
	wan         = Filter{EAPOLDestination: broadcast, EtherType: 0x876f}
	counting    = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, CountOnly: true}
	everything  = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: Protocols()}
)

// packets is both the test and the benchmark: what each program says to a
// frame, and under which counter.
var packets = []struct {
	name    string
	filter  Filter
	frame   string // without padding
	in, out portVerdict
}{
	{"macsec", plain, peerMAC + otherMAC + "88e5" + "2c0000000001", portVerdictMACSEC, portVerdictMACSEC},
	{"macsec to a group", plain, "ffffffffffff" + otherMAC + "88e5" + "2c00", portVerdictMACSEC, portVerdictMACSEC},
	{"macsec of an SC", plain, peerMAC + otherMAC + "88e5" + "2c0000000001" + secSCI, portVerdictMACSEC, portVerdictMACSEC},
	{"802.1ad and 802.1Q over macsec of an SC", plain, peerMAC + otherMAC + "88a80064" + "8100000a" + "88e5" + "2c0000000001" + secSCI, portVerdictMACSEC, portVerdictMACSEC},
	{"eapol to the group", plain, pae + peerMAC + "888e" + "0305", portVerdictEAPOL, portVerdictEAPOL},
	{"eapol to the port", plain, portMAC + peerMAC + "888e" + "0305", portVerdictEAPOL, portVerdictDROPPED},
	{"eapol to another station", plain, otherMAC + peerMAC + "888e" + "0305", portVerdictDROPPED, portVerdictDROPPED},
	{"eapol to another group", plain, "0180c200000e" + peerMAC + "888e" + "0305", portVerdictDROPPED, portVerdictDROPPED},
	{"eapol to almost the group", plain, "0180c2010003" + peerMAC + "888e" + "0305", portVerdictDROPPED, portVerdictDROPPED},
	{"configured eapol", wan, "ffffffffffff" + peerMAC + "876f" + "0305", portVerdictEAPOL, portVerdictEAPOL},
	{"eapol where another is configured", wan, pae + peerMAC + "888e" + "0305", portVerdictDROPPED, portVerdictDROPPED},
	{"arp", plain, "ffffffffffff" + peerMAC + "0806" + "0001", portVerdictDROPPED, portVerdictDROPPED},
	{"ipv4", plain, portMAC + peerMAC + "0800" + "4500", portVerdictDROPPED, portVerdictDROPPED},
	{"ipv6", plain, "333300000001" + peerMAC + "86dd" + "6000", portVerdictDROPPED, portVerdictDROPPED},
	{"802.3 and LLC", plain, "0180c2000000" + peerMAC + "0026" + "424203", portVerdictDROPPED, portVerdictDROPPED},
	{"802.1Q over ipv4", plain, portMAC + peerMAC + "8100000a" + "0800" + "4500", portVerdictTAGGED, portVerdictTAGGED},
	{"802.1Q over macsec", plain, portMAC + peerMAC + "8100000a" + "88e5" + "2c00", portVerdictMACSEC, portVerdictMACSEC},
	{"802.1Q over eapol", plain, pae + peerMAC + "8100000a" + "888e" + "0305", portVerdictTAGGED, portVerdictTAGGED},
	{"priority tag over eapol", plain, pae + peerMAC + "8100e000" + "888e" + "0305", portVerdictTAGGED, portVerdictTAGGED},
	{"802.1ad over macsec", plain, portMAC + peerMAC + "88a8000a" + "88e5" + "2c00", portVerdictMACSEC, portVerdictMACSEC},
	{"QinQ 0x9100 over macsec", plain, portMAC + peerMAC + "9100000a" + "88e5" + "2c00", portVerdictMACSEC, portVerdictMACSEC},
	{"802.1ad and 802.1Q over macsec", plain, portMAC + peerMAC + "88a80064" + "8100000a" + "88e5" + "2c00", portVerdictMACSEC, portVerdictMACSEC},
	{"three tags over macsec", plain, portMAC + peerMAC + "88a80064" + "8100000a" + "8100000b" + "88e5" + "2c00", portVerdictTAGGED, portVerdictTAGGED},
	{"802.1ad and 802.1Q over ipv4", plain, portMAC + peerMAC + "88a80064" + "8100000a" + "0800" + "4500", portVerdictTAGGED, portVerdictTAGGED},
	{"ipv4, counted only", counting, portMAC + peerMAC + "0800" + "4500", portVerdictCLEAR, portVerdictCLEAR},
	{"802.1Q over ipv4, counted only", counting, portMAC + peerMAC + "8100000a" + "0800" + "4500", portVerdictCLEAR, portVerdictCLEAR},
	{"macsec, counted only", counting, peerMAC + otherMAC + "88e5" + "2c0000000001", portVerdictMACSEC, portVerdictMACSEC},
	{"lldp, not allowed", plain, "0180c200000e" + peerMAC + "88cc" + "0207", portVerdictDROPPED, portVerdictDROPPED},
	{"lacp, not allowed", plain, "0180c2000002" + peerMAC + "8809" + "01", portVerdictDROPPED, portVerdictDROPPED},
	{"lldp", everything, "0180c200000e" + peerMAC + "88cc" + "0207", portVerdictALLOWED, portVerdictALLOWED},
	{"lldp, nearest customer bridge", everything, "0180c2000000" + peerMAC + "88cc" + "0207", portVerdictALLOWED, portVerdictALLOWED},
	{"lldp to a station", everything, portMAC + peerMAC + "88cc" + "0207", portVerdictDROPPED, portVerdictDROPPED},
	{"lacp", everything, "0180c2000002" + peerMAC + "8809" + "01", portVerdictALLOWED, portVerdictALLOWED},
	{"marker", everything, "0180c2000002" + peerMAC + "8809" + "02", portVerdictALLOWED, portVerdictALLOWED},
	{"oam", everything, "0180c2000002" + peerMAC + "8809" + "03", portVerdictALLOWED, portVerdictALLOWED},
	{"esmc", everything, "0180c2000002" + peerMAC + "8809" + "0a", portVerdictALLOWED, portVerdictALLOWED},
	{"another slow protocol", everything, "0180c2000002" + peerMAC + "8809" + "04", portVerdictDROPPED, portVerdictDROPPED},
	{"ptp", everything, "011b19000000" + peerMAC + "88f7" + "0002", portVerdictALLOWED, portVerdictALLOWED},
	{"pause", everything, "0180c2000001" + peerMAC + "8808" + "0001", portVerdictALLOWED, portVerdictALLOWED},
	{"ipv4, all allowed", everything, portMAC + peerMAC + "0800" + "4500", portVerdictDROPPED, portVerdictDROPPED},
	{"marker where lacp is allowed", Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: []Protocol{LACP}}, "0180c2000002" + peerMAC + "8809" + "02", portVerdictDROPPED, portVerdictDROPPED},
}

func octets(t testing.TB, s string, size int) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < size {
		b = append(b, make([]byte, size-len(b))...)
	}
	return b
}

func loaded(t testing.TB, f Filter) pair {
	t.Helper()
	return loadedWith(t, f, func(*ebpf.CollectionSpec) {})
}

// loadedWith loads the programs as change has them.
func loadedWith(t testing.TB, f Filter, change func(*ebpf.CollectionSpec)) pair {
	t.Helper()
	probetest.Need(t, probe.BPF)
	s, err := f.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	p := settled(t, s, change)
	if f.Underlay != nil {
		if err := p.underlay(*f.Underlay); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// inTC is the program that judges in tc what p.in does in XDP, with the same maps.
func inTC(t testing.TB, p pair) *program {
	t.Helper()
	spec, err := loadPort()
	if err != nil {
		t.Fatal(err)
	}
	narrow(spec, p.in.settings.Underlay == 1)
	in, err := p.byTC(spec, p.in.settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Close)
	return in
}

// settled has nothing in its maps.
func settled(t testing.TB, s portSettings, change func(*ebpf.CollectionSpec)) pair {
	t.Helper()
	spec, err := loadPort()
	if err != nil {
		t.Fatal(err)
	}
	change(spec)
	p, err := load(spec, s, pair{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (v Verdicts) of(i portVerdict) Counter {
	return [...]Counter{v.MACsec, v.EAPOL, v.Allowed, v.Tunnel, v.Clear, v.Tagged, v.Dropped, v.Protected, v.EAPOLLimited}[i]
}

// answers are what a program returns for a verdict.
func answers(v portVerdict) (xdp, tc uint32) {
	if v <= portVerdictCLEAR {
		return xdpPass, tcNext
	}
	return xdpDrop, tcShot
}

// once loads programs once for each filter.
func once(t testing.TB) func(Filter) pair {
	programs := map[portSettings]pair{}
	return func(f Filter) pair {
		s, err := f.settings(portAddress)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := programs[s]; !ok {
			programs[s] = loaded(t, f)
		}
		return programs[s]
	}
}

func TestPackets(t *testing.T) {
	load := once(t)
	byTC := map[*program]*program{} // by the one in XDP
	for _, tt := range slices.Concat(packets, underlayPackets) {
		p := load(tt.filter)
		if byTC[p.in] == nil {
			byTC[p.in] = inTC(t, p)
		}
		t.Run(tt.name, func(t *testing.T) {
			frame := octets(t, tt.frame, 60)
			xdp, tcIn := answers(tt.in)
			_, tc := answers(tt.out)
			for _, side := range []struct {
				name     string
				prog     *program
				want     uint32
				verdict  portVerdict
				counters *ebpf.Map
			}{
				{"ingress", p.in, xdp, tt.in, p.held(portMapIngress)},
				{"ingress by tc", byTC[p.in], tcIn, tt.in, p.held(portMapIngress)},
				{"egress", p.out, tc, tt.out, p.held(portMapEgress)},
			} {
				before, err := verdicts(side.counters)
				if err != nil {
					t.Fatal(err)
				}
				got, err := side.prog.Run(&ebpf.RunOptions{Data: frame, Repeat: 1})
				if err != nil {
					t.Fatal(err)
				}
				if got != side.want {
					t.Errorf("%s answers %d, want %d", side.name, int32(got), int32(side.want))
				}
				v, err := verdicts(side.counters)
				if err != nil {
					t.Fatal(err)
				}
				for i := range portVerdictVERDICTS {
					want := before.of(i)
					if i == side.verdict {
						want.Packets, want.Octets = want.Packets+1, want.Octets+uint64(len(frame))
					}
					if v.of(i) != want {
						t.Errorf("%s counter %d is %+v, want %+v", side.name, i, v.of(i), want)
					}
				}
			}
		})
	}
}

// Every length from a bare header on: no frame is read beyond its end, none
// passes for being short.
func TestShortFrames(t *testing.T) {
	p := loaded(t, everything)
	byTC := inTC(t, p)
	for _, kind := range []struct {
		frame string
		first int // octets from which on it passes
	}{
		{"0180c2000002" + peerMAC + "8809" + "01", 15}, // a subtype is needed
		{"0180c200000e" + peerMAC + "88cc", 14},
		{portMAC + peerMAC + "88b5" + "45", 1 << 30}, // the kernel runs no test on a cut IPv4,
	} {
		for size := 14; size < 20; size++ {
			frame := octets(t, kind.frame, 20)[:size]
			xdp, tc := answers(portVerdictDROPPED)
			if size >= kind.first {
				xdp, tc = answers(portVerdictALLOWED)
			}
			if got, err := p.in.Run(&ebpf.RunOptions{Data: frame}); err != nil || got != xdp {
				t.Errorf("ingress, %x: %d, %v; want %d", frame, got, err, xdp)
			}
			for name, prog := range map[string]*program{"ingress by tc": byTC, "egress": p.out} {
				if got, err := prog.Run(&ebpf.RunOptions{Data: frame}); err != nil || got != tc {
					t.Errorf("%s, %x: %d, %v; want %d", name, frame, int32(got), err, int32(tc))
				}
			}
		}
	}
}

// A frame in pieces counts with all its octets.
func TestPieces(t *testing.T) {
	p := loaded(t, plain)
	size := 0
	for _, n := range []int{60, 1514, 9014, 40000} {
		frame := octets(t, packets[0].frame, n)
		if got, err := p.in.Run(&ebpf.RunOptions{Data: frame}); err != nil || got != xdpPass {
			t.Fatalf("%d octets: %d, %v", n, got, err)
		}
		size += n
	}
	v, err := verdicts(p.held(portMapIngress))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Counter{4, uint64(size)}); v.MACsec != want {
		t.Errorf("counted %+v, want %+v", v.MACsec, want)
	}
}

// BenchmarkPackets times every packet of the table once, to look into; what may
// be compared is BenchmarkCost's.
func BenchmarkPackets(b *testing.B) {
	load := once(b)
	for _, tt := range slices.Concat(packets, underlayPackets) {
		p := load(tt.filter)
		frame := octets(b, tt.frame, 60)
		for name, prog := range map[string]*program{"ingress": p.in, "egress": p.out} {
			b.Run(fmt.Sprintf("%s/%s", strings.ReplaceAll(tt.name, "/", " "), name), func(b *testing.B) {
				_, took, err := prog.Benchmark(frame, b.N, b.ResetTimer)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
			})
		}
	}
}
