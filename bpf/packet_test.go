package bpf

import (
	"encoding/hex"
	"fmt"
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
)

var (
	portAddress = [6]byte{2, 0, 0, 0, 0, 1}
	paeGroup    = [6]byte{1, 0x80, 0xc2, 0, 0, 3}
	broadcast   = [6]byte{255, 255, 255, 255, 255, 255}
	plain       = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e}
	wan         = Filter{EAPOLDestination: broadcast, EtherType: 0x876f}
	everything  = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Allow: Protocols()}
)

// packets is both the test and the benchmark: what each program says to a
// frame, and under which counter.
var packets = []struct {
	name    string
	filter  Filter
	frame   string // without padding
	in, out mustVerdict
}{
	{"macsec", plain, peerMAC + otherMAC + "88e5" + "2c0000000001", mustVerdictMACSEC, mustVerdictMACSEC},
	{"macsec to a group", plain, "ffffffffffff" + otherMAC + "88e5" + "2c00", mustVerdictMACSEC, mustVerdictMACSEC},
	{"eapol to the group", plain, pae + peerMAC + "888e" + "0305", mustVerdictEAPOL, mustVerdictEAPOL},
	{"eapol to the port", plain, portMAC + peerMAC + "888e" + "0305", mustVerdictEAPOL, mustVerdictDROPPED},
	{"eapol to another station", plain, otherMAC + peerMAC + "888e" + "0305", mustVerdictDROPPED, mustVerdictDROPPED},
	{"eapol to another group", plain, "0180c200000e" + peerMAC + "888e" + "0305", mustVerdictDROPPED, mustVerdictDROPPED},
	{"eapol to almost the group", plain, "0180c2010003" + peerMAC + "888e" + "0305", mustVerdictDROPPED, mustVerdictDROPPED},
	{"configured eapol", wan, "ffffffffffff" + peerMAC + "876f" + "0305", mustVerdictEAPOL, mustVerdictEAPOL},
	{"eapol where another is configured", wan, pae + peerMAC + "888e" + "0305", mustVerdictDROPPED, mustVerdictDROPPED},
	{"arp", plain, "ffffffffffff" + peerMAC + "0806" + "0001", mustVerdictDROPPED, mustVerdictDROPPED},
	{"ipv4", plain, portMAC + peerMAC + "0800" + "4500", mustVerdictDROPPED, mustVerdictDROPPED},
	{"ipv6", plain, "333300000001" + peerMAC + "86dd" + "6000", mustVerdictDROPPED, mustVerdictDROPPED},
	{"802.3 and LLC", plain, "0180c2000000" + peerMAC + "0026" + "424203", mustVerdictDROPPED, mustVerdictDROPPED},
	{"802.1Q over ipv4", plain, portMAC + peerMAC + "8100000a" + "0800" + "4500", mustVerdictTAGGED, mustVerdictTAGGED},
	{"802.1Q over macsec", plain, portMAC + peerMAC + "8100000a" + "88e5" + "2c00", mustVerdictTAGGED, mustVerdictTAGGED},
	{"802.1Q over eapol", plain, pae + peerMAC + "8100000a" + "888e" + "0305", mustVerdictTAGGED, mustVerdictTAGGED},
	{"priority tag over eapol", plain, pae + peerMAC + "8100e000" + "888e" + "0305", mustVerdictTAGGED, mustVerdictTAGGED},
	{"802.1ad over macsec", plain, portMAC + peerMAC + "88a8000a" + "88e5" + "2c00", mustVerdictTAGGED, mustVerdictTAGGED},
	{"QinQ 0x9100 over macsec", plain, portMAC + peerMAC + "9100000a" + "88e5" + "2c00", mustVerdictTAGGED, mustVerdictTAGGED},
	{"lldp, not allowed", plain, "0180c200000e" + peerMAC + "88cc" + "0207", mustVerdictDROPPED, mustVerdictDROPPED},
	{"lacp, not allowed", plain, "0180c2000002" + peerMAC + "8809" + "01", mustVerdictDROPPED, mustVerdictDROPPED},
	{"lldp", everything, "0180c200000e" + peerMAC + "88cc" + "0207", mustVerdictALLOWED, mustVerdictALLOWED},
	{"lldp, nearest customer bridge", everything, "0180c2000000" + peerMAC + "88cc" + "0207", mustVerdictALLOWED, mustVerdictALLOWED},
	{"lldp to a station", everything, portMAC + peerMAC + "88cc" + "0207", mustVerdictDROPPED, mustVerdictDROPPED},
	{"lacp", everything, "0180c2000002" + peerMAC + "8809" + "01", mustVerdictALLOWED, mustVerdictALLOWED},
	{"marker", everything, "0180c2000002" + peerMAC + "8809" + "02", mustVerdictALLOWED, mustVerdictALLOWED},
	{"oam", everything, "0180c2000002" + peerMAC + "8809" + "03", mustVerdictALLOWED, mustVerdictALLOWED},
	{"esmc", everything, "0180c2000002" + peerMAC + "8809" + "0a", mustVerdictALLOWED, mustVerdictALLOWED},
	{"another slow protocol", everything, "0180c2000002" + peerMAC + "8809" + "04", mustVerdictDROPPED, mustVerdictDROPPED},
	{"ptp", everything, "011b19000000" + peerMAC + "88f7" + "0002", mustVerdictALLOWED, mustVerdictALLOWED},
	{"pause", everything, "0180c2000001" + peerMAC + "8808" + "0001", mustVerdictALLOWED, mustVerdictALLOWED},
	{"ipv4, all allowed", everything, portMAC + peerMAC + "0800" + "4500", mustVerdictDROPPED, mustVerdictDROPPED},
	{"marker where lacp is allowed", Filter{paeGroup, 0x888e, []Protocol{LACP}}, "0180c2000002" + peerMAC + "8809" + "02", mustVerdictDROPPED, mustVerdictDROPPED},
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
	probetest.Need(t, probe.BPF)
	s, err := f.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := loadMust()
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(spec, s, pair{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func (v Verdicts) of(i mustVerdict) Counter {
	return [...]Counter{v.MACsec, v.EAPOL, v.Allowed, v.Tagged, v.Dropped}[i]
}

// answers are what a program returns for a verdict.
func answers(v mustVerdict) (xdp, tc uint32) {
	if v <= mustVerdictALLOWED {
		return xdpPass, tcNext
	}
	return xdpDrop, tcShot
}

func TestPackets(t *testing.T) {
	for _, tt := range packets {
		t.Run(tt.name, func(t *testing.T) {
			p := loaded(t, tt.filter)
			frame := octets(t, tt.frame, 60)
			xdp, _ := answers(tt.in)
			_, tc := answers(tt.out)
			for _, side := range []struct {
				name    string
				prog    *program
				want    uint32
				verdict mustVerdict
			}{{"ingress", p.in, xdp, tt.in}, {"egress", p.out, tc, tt.out}} {
				got, err := side.prog.Run(&ebpf.RunOptions{Data: frame, Repeat: 1})
				if err != nil {
					t.Fatal(err)
				}
				if got != side.want {
					t.Errorf("%s answers %d, want %d", side.name, int32(got), int32(side.want))
				}
				v, err := verdicts(side.prog.counters)
				if err != nil {
					t.Fatal(err)
				}
				for i := range mustVerdictVERDICTS {
					want := Counter{}
					if i == side.verdict {
						want = Counter{1, uint64(len(frame))}
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
			xdp, tc := answers(mustVerdictDROPPED)
			if size >= kind.first {
				xdp, tc = answers(mustVerdictALLOWED)
			}
			if got, err := p.in.Run(&ebpf.RunOptions{Data: frame}); err != nil || got != xdp {
				t.Errorf("ingress, %x: %d, %v; want %d", frame, got, err, xdp)
			}
			if got, err := p.out.Run(&ebpf.RunOptions{Data: frame}); err != nil || got != tc {
				t.Errorf("egress, %x: %d, %v; want %d", frame, int32(got), err, int32(tc))
			}
		}
	}
}

func BenchmarkPackets(b *testing.B) {
	for _, tt := range packets {
		p := loaded(b, tt.filter)
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
