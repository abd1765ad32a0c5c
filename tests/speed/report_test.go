package main

import (
	"math"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// The samples in testdata are what iperf3 3.12 wrote, of one TCP and one UDP
// run over a veth; the TCP one has two streams.
func load(t *testing.T, name string) (report, error) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return parseReport(text)
}

func mustLoad(t *testing.T, name string) report {
	t.Helper()
	r, err := load(t, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func same(got, want float64) bool { return math.Abs(got-want) <= 1e-6*math.Abs(want) }

func TestRate(t *testing.T) {
	rate, total, err := mustLoad(t, "tcp-server.json").rate()
	if err != nil {
		t.Fatal(err)
	}
	// Intervals 2 to 5 of 5.
	const octets = 515243976 + 522190904 + 460849152 + 4980736
	const seconds = 0.4999989867210388 + 0.501609981060028 + 0.500119984149933 + 0.0010479999473318458
	if want := 8 * octets / seconds; !same(rate, want) {
		t.Errorf("rate %v, want %v", rate, want)
	}
	if want := 8.0 * (466616320 + octets); !same(total, want) {
		t.Errorf("total %v, want %v", total, want)
	}
	var short report
	short.Intervals = append(short.Intervals, struct{ Sum span }{span{Start: 0, Seconds: 0.5, Bytes: 1e6}})
	if _, _, err := short.rate(); err == nil {
		t.Error("a report of the warm-up alone has a rate")
	}
}

func TestDatagrams(t *testing.T) {
	got, err := datagrams(mustLoad(t, "udp-client.json"), mustLoad(t, "udp-server.json"))
	if err != nil {
		t.Fatal(err)
	}
	const sent, received = 70490, 70490 - 12968
	want := trial{sent: sent / 1.000397, received: received / 1.000397, lost: 12968.0 / 70490, behind: 12968.0 / 70490}
	if !same(got.sent, want.sent) || !same(got.received, want.received) || !same(got.lost, want.lost) || !same(got.behind, want.behind) {
		t.Errorf("%+v, want %+v", got, want)
	}
	var s, none report
	s.End.Sum = span{Seconds: 1, Packets: 100}
	none.End.Sum = span{Seconds: 1}
	if got, err := datagrams(s, none); err != nil || got.carried() || got.lost != 1 || got.behind != 1 {
		t.Errorf("nothing received: %+v, %v", got, err)
	}
	if _, err := datagrams(none, s); err == nil {
		t.Error("nothing sent is a trial")
	}
	// Packets that stand in the receiver's buffer are not lost by its count.
	var slow report
	slow.End.Sum = span{Seconds: 1, Packets: 90}
	if got, err := datagrams(s, slow); err != nil || got.lost != 0 || got.carried() {
		t.Errorf("a receiver a tenth behind: %+v, %v", got, err)
	}
}

func TestParseReportRefuses(t *testing.T) {
	if _, err := load(t, "refused.json"); err == nil || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("refused.json: %v", err)
	}
	for _, text := range []string{"", "{", "null", "{}", `{"intervals": []}`, `{"intervals": 1}`, "iperf3: command not found"} {
		if _, err := parseReport([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestListens(t *testing.T) {
	// The table of a little-endian machine, as the tests' machines are.
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 020200C0:1451 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1061 1 00000000efd7311f 100 0 0 10 0
   1: 010200C0:1451 020200C0:C000 01 00000000:00000000 00:00000000 00000000     0        0 1062 1 00000000efd7311f 100 0 0 10 0
`
	for at, want := range map[string]bool{"192.0.2.2:5201": true, "192.0.2.1:5201": false, "192.0.2.2:5202": false} {
		if got := listens([]byte(table), netip.MustParseAddrPort(at)); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
	if listens(nil, netip.MustParseAddrPort("192.0.2.2:5201")) {
		t.Error("an empty table has a listener")
	}
}
