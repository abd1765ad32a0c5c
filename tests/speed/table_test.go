package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	r := &results{Machine: "a machine", Notes: []string{"a note"}, Contenders: []contestant{
		{"veth", "a veth", map[string][]float64{}},
		{subject, "two linksealds", map[string][]float64{}},
	}}
	// What linkseal lost in the second round has no rate, and is told.
	for _, x := range []struct{ limit, veth, own float64 }{{5e9, 20, 2}, {5e9, 10, 3}, {4e9, 40, 2}} {
		r.add(x.limit, []sample{{tcp1: x.veth, udpL: 100, rtt: 15}, {tcp1: x.own, udpL: 50 * (3 - x.own), rtt: 30, cpuD: 0.0512}})
	}
	want := strings.TrimPrefix(`
a machine. Rounds: 3. Medians, with least and greatest; of ratios, those of each round.

|  | unit | veth | linkseal | linkseal : veth | linkseal of AES-GCM |
|---|---|---:|---:|---:|---:|
| TCP, 1 stream | Gbit/s | 20.0 (10.0 to 40.0) | 2.00 (2.00 to 3.00) | 0.100 (0.0500 to 0.300) | 50.0 % (40.0 % to 60.0 %) |
| TCP, 4 streams | Gbit/s | — | — | — | — |
| UDP, 64 octets, at most 0.1 % lost | kpackets/s | — | — | — | — |
| UDP, 1400 octets, at most 0.1 % lost | kpackets/s | 100 (100 to 100) | 50.0 (0 to 50.0) | 0.500 (0 to 0.500) | 11.2 % (0 % to 14.0 %) |
| round trip, idle, median | µs | 15.0 (15.0 to 15.0) | 30.0 (30.0 to 30.0) | 2.00 (2.00 to 2.00) | — |
| round trip, idle, 99 of 100 | µs | — | — | — | — |
| processor time, whole machine, TCP | s/Gbit | — | — | — | — |
| processor time, the daemons, TCP | s/Gbit | — | 0.0512 (0.0512 to 0.0512) | — | — |

- AES-256-GCM in Go, seal and open of 1500 octets on one core: 5.00 (4.00 to 5.00) Gbit/s. Two ends on two cores may pass 100 % of it.
- veth: a veth.
- linkseal: two linksealds.
- a note.
`, "\n")
	if diff := cmp.Diff(want, r.markdown()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// linkseal's WireGuard is compared with stock wireguard-go, by medians.
func TestMarkdownTunnels(t *testing.T) {
	r := &results{Contenders: []contestant{{wireguardStock, "stock", map[string][]float64{}}, {wireguardUserspace, "ours", map[string][]float64{}}}}
	for _, x := range [][2]float64{{2, 1}, {4, 3}, {3, 5}} {
		r.add(1e9, []sample{{tcp1: x[0]}, {tcp1: x[1]}})
	}
	if got, want := r.markdown(), "- TCP, 1 stream, linkseal-wg : wireguard-go: 1.00 x its median; of each round 0.750 (0.500 to 1.67).\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.05124: "0.0512", 1: "1.00", 9.996: "10.00", 12.34: "12.3", 187.4: "187", 31400: "31400", -2.5: "-2.50"} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// Without linkseal the last contender is the subject.
func TestMarkdownWithoutLinkseal(t *testing.T) {
	r := &results{Contenders: []contestant{{"veth", "a veth", map[string][]float64{}}, {"wireguard-go", "two processes", map[string][]float64{}}}}
	r.add(1e9, []sample{{tcp1: 8}, {tcp1: 2}})
	if got := r.markdown(); !strings.Contains(got, "| TCP, 1 stream | Gbit/s | 8.00 | 2.00 | 0.250 | 200 % |") {
		t.Error(got)
	}
}
