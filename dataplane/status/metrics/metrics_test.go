package metrics

import (
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/golden"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *time.Time {
	t := now.Add(-d)
	return &t
}

// example has all that a status can have: a secured port in the middle of a
// rotation out of a vault, one that fails, and one that has nothing yet.
func example() status.Status {
	const a, b = "96437a93ccf10d9dfe347846cce52c7d", "01"
	west, east := status.Peer{SCI: "0200000000020001", MI: "1112131415161718191a1b1c", Live: true}, status.Peer{SCI: "0200000000040001", MI: "2112131415161718191a1b1c"}
	away := west
	away.Suspended = true
	s := status.Status{Name: "ce-ams-1", Version: "0.1.0", Reload: []string{"linkseal.yaml:3:1: unknown key"}, SealError: "TPM: lockout", Memory: &status.Memory{Locked: true},
		Metrics: &status.Metrics{Listen: "127.0.0.1:9469", Serving: true}}
	s.Ports = []status.Port{
		{Name: "link1", Device: "eth1", Interface: "macsec1", Dataplane: "kernel", State: status.Secured, Secure: "must", Cipher: "gcm-aes-xpn-256", Encrypt: true,
			SCI: "0200000000010001", SecuredSince: before(time.Hour), Passing: status.PassingProtected, Keychain: "link1",
			Participants: []status.Participant{
				{CKN: a, Principal: true, KeyServer: true, Priority: 16, Peers: []status.Peer{west, east}},
				{CKN: b, Priority: 16, Held: true, Peers: []status.Peer{away}}},
			Tx:       &status.Tx{AN: 1, PN: 1 << 40, CKN: a, PeersTransmit: true, Since: before(90 * time.Second)},
			Rx:       []status.Rx{{SCI: west.SCI, AN: 1, PN: 815, CKN: a, Since: before(90 * time.Second)}, {SCI: west.SCI, AN: 0, PN: 4711}},
			Counters: map[string]uint64{"mkpdus_malformed": 5, "mkpdus_malformed_agility": 2, "mkpdus_malformed_basic_length": 3},
			Filter: map[string]uint64{"ingress_macsec_packets": 7, "ingress_macsec_octets": 700, "ingress_dropped_packets": 3, "ingress_dropped_octets": 180,
				"egress_tagged_packets": 1, "egress_tagged_octets": 64, "ingress_eapol_limited_packets": 9, "ingress_eapol_limited_octets": 900,
				"ingress_eapol_packets": 6, "ingress_eapol_octets": 960, "ingress_allowed_packets": 2, "ingress_allowed_octets": 300, "ingress_tunnel_packets": 0, "ingress_tunnel_octets": 0,
				"egress_protected_packets": 0, "egress_protected_octets": 0},
			Accounts: []account.Account{{Direction: account.Egress, SCI: "0200000000010001", AN: 1, Key: "1112131415161718191a1b1c/1", From: *before(time.Hour), Packets: 4},
				{Direction: account.Egress, SCI: "0200000000010001", AN: 1, Key: "1112131415161718191a1b1c/2", CKN: a, From: *before(time.Minute), Packets: 5, Octets: 700, LastSeen: before(time.Second), PNHigh: 5, AllowedPackets: 1, AllowedOctets: 60},
				{Direction: account.Ingress, SCI: west.SCI, AN: 1, Key: "1112131415161718191a1b1c/2", From: *before(time.Minute), Packets: 4, Octets: 600, PNHigh: 6, Gaps: 2},
				{Direction: account.Ingress, SCI: west.SCI, AN: 0, Key: "1112131415161718191a1b1c/1", From: *before(time.Hour), To: before(time.Minute), Packets: 4711, LastSeen: before(2 * time.Minute)}},
			NoAccount:   &account.Count{Packets: 3, Octets: 210},
			Enforcement: &status.Enforcement{Ingress: "native", Egress: "tcx", Guard: true, Refused: map[string]uint64{"bypass": 2, "xdp": 0}},
			Drops: status.Drops{Events: []status.Event{{Source: "02:00:00:00:00:09", From: "192.0.2.1:53"}},
				EventCounters: map[string]uint64{"ingress_dropped": 2, "egress_tagged": 1, "ingress_eapol_limited": 1, "egress_dropped": 0}, EventsLost: 4,
				EventLastSeen: map[string]time.Time{"ingress_dropped": *before(time.Second), "egress_tagged": *before(time.Minute), "ingress_eapol_limited": *before(time.Hour)}},
			OuterCircuits: []status.Circuit{{STag: 7, Direction: "ingress", Traffic: status.Traffic{Packets: 6, Octets: 600, LastSeen: before(time.Second)}},
				{Rest: true, Direction: "ingress", Traffic: status.Traffic{Packets: 1, Octets: 100, LastSeen: before(time.Minute)}}},
			Tagging: status.Tagging{TagsBy: "tcx",
				Circuits: []status.Circuit{{Direction: "egress", Traffic: status.Traffic{Packets: 4, Octets: 400, LastSeen: before(time.Second)}},
					{STag: 100, CTag: 10, Direction: "ingress", Traffic: status.Traffic{Packets: 3, Octets: 300, LastSeen: before(time.Minute)}},
					{Rest: true, Direction: "ingress", Traffic: status.Traffic{Packets: 2, Octets: 200, LastSeen: before(time.Hour)}}},
				Classes: []status.Class{{Name: "voice", Direction: "egress", Traffic: status.Traffic{Packets: 4, Octets: 400, LastSeen: before(time.Second)}}, {Name: "other", Direction: "egress"}}}},
		{Name: "link2", Device: "eth2", Interface: "macsec2", Dataplane: "userspace", State: status.Unsecured, Secure: "should", Cipher: "gcm-aes-256", SCI: "0200000000030001",
			Passing: status.PassingClear, Keychain: "link2", Problem: "the device has no room", KeysError: "torn", StateError: "read-only file system",
			AccountError: "lookup: busy", Tagging: status.Tagging{TagsError: "lookup: gone"}, Filter: map[string]uint64{"egress_clear_packets": 8, "egress_clear_octets": 800},
			Accounts: []account.Account{{Direction: account.Egress, SCI: "0200000000030001", AN: 3, From: *before(time.Minute), ClearPackets: 8, ClearOctets: 800}}},
		{Name: "link3", Device: "eth3", Interface: "macsec3", State: status.Down, Secure: "must", Cipher: "gcm-aes-256", Passing: status.PassingNone, Keychain: "link2",
			Enforcement: &status.Enforcement{Ingress: "none", Egress: "clsact", GuardError: "no cgroup", Refused: map[string]uint64{"bypass": 1, "xdp": 0}}},
	}
	s.Tunnels = tunnels()
	for i, name := range slices.Sorted(maps.Keys(byName)) {
		s.Ports[0].Counters[name] = uint64(100 + i)
	}
	s.Keychains = []status.Keychain{
		{Name: "link1", Source: "azure-key-vault", From: "https://contoso.vault.azure.net", Sealed: true, Error: "not read yet",
			Keys: []status.Key{
				{CKN: a, State: "active", NotBefore: before(24 * time.Hour), Expires: before(-29 * 24 * time.Hour), FirstSeen: before(25 * time.Hour), Fingerprint: "0011223344556677", Pair: "6b0b1d7e"},
				{CKN: b, State: "not_yet", NotBefore: before(-time.Hour), Fingerprint: "8899aabbccddeeff", Pair: "half"}},
			Rotation:  &status.Rotation{Phase: "settled", CKN: a, Since: before(time.Minute), RetireAt: before(-time.Hour), Next: before(-24 * time.Hour), Error: "rotated by ce-ams-2"},
			Rotations: map[string]uint64{"done": 4, "failed": 1, "refused": 0},
			Vault: &status.Vault{LastSuccess: before(5 * time.Minute), NextPoll: before(-10 * time.Second), Refused: []string{"pair 11: only its CKN is there", "pair 12: only its CKN is there"},
				Faults:   []status.Fault{{Kind: "refused_pair", Text: "pair 11", Since: now, Polls: 3}, {Kind: "refused_pair", Text: "pair 12", Since: now, Polls: 2}, {Kind: "server_error", Text: "503 of the vault", Since: now, Polls: 3}},
				Counters: map[string]uint64{"polls": 40, "failures": 5, "faults_refused_pair": 2, "faults_server_error": 1, "faults_lying": 1, "faults_local": 0}}},
		{Name: "link2", Source: "file", From: "/etc/linkseal/keys/link\xff2.yaml",
			Keys: []status.Key{{CKN: b, State: "expired", Expires: before(time.Hour), FirstSeen: before(2 * time.Hour), Fallback: true, Fingerprint: "8899aabbccddeeff"}}},
		{Name: "hub1-psk", Source: "file", From: "/etc/linkseal/keys/hub1.yaml",
			Keys: []status.Key{{ID: "psk-2026-11", State: "active", NotBefore: before(24 * time.Hour), Expires: before(-24 * time.Hour), Fingerprint: "1122334455667788"}, {ID: "psk-2026-12", Text: true, State: "not_yet", NotBefore: before(-time.Hour)}}},
	}
	s.Fill()
	return s
}

func collector(s status.Status) *Collector {
	return &Collector{Read: func() status.Status { return s }, Now: func() time.Time { return now }}
}

// The whole of what a scrape says of the example, beside the runtime's own.
func TestGolden(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector(example()))
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, f := range all {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	got := strings.ReplaceAll(text.String(), runtime.Version(), "GOVERSION")
	const path = "testdata/metrics.txt"
	golden.Check(t, path, got)
	// The example leaves nothing out.
	for _, d := range families {
		name := strings.SplitN(d.String(), `"`, 3)[1]
		if name != "linkseal_clock_held_timestamp_seconds" && !strings.Contains(got, "\n"+name+"{") && !strings.Contains(got, "\n"+name+" ") {
			t.Errorf("there is no %s", name)
		}
	}
}

// promtool's own lint has nothing to say, of the runtime's metrics neither.
func TestLint(t *testing.T) {
	s := example()
	s.ClockHeld = before(time.Hour)
	registry := newRegistry(collector(s))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n, err := testutil.GatherAndCount(registry, "go_goroutines", "process_start_time_seconds", "linkseal_build_info", "linkseal_clock_held_timestamp_seconds"); err != nil || n != 4 {
		t.Errorf("%d of 4 metrics, %v", n, err)
	}
}

// While the clock is held, what is left of keys is counted by the time that
// they are chosen by, and the SAs' age is not.
func TestClockHeld(t *testing.T) {
	s := example()
	s.ClockHeld = before(-time.Hour)
	want := `
# HELP linkseal_key_expiry_seconds How long until the key's window ends, by the clock that keys are chosen by; below 0: it has ended; absent if it does not.
# TYPE linkseal_key_expiry_seconds gauge
linkseal_key_expiry_seconds{ckn="01",keychain="link2"} -7200
linkseal_key_expiry_seconds{ckn="96437a93ccf10d9dfe347846cce52c7d",keychain="link1"} 2.502e+06
linkseal_key_expiry_seconds{ckn="psk-2026-11",keychain="hub1-psk"} 82800
# HELP linkseal_tx_sa_age_seconds How long the encoding SA has been there, or since this daemon adopted it.
# TYPE linkseal_tx_sa_age_seconds gauge
linkseal_tx_sa_age_seconds{an="1",ckn="96437a93ccf10d9dfe347846cce52c7d",port="link1"} 90
`
	if err := testutil.CollectAndCompare(collector(s), strings.NewReader(want), "linkseal_key_expiry_seconds", "linkseal_tx_sa_age_seconds"); err != nil {
		t.Error(err)
	}
}

// Texts are for a status alone: they say what nobody can foresee, and a label of
// each would be a series of its own. So are the addresses of what was dropped.
func TestNoTexts(t *testing.T) {
	_, _, body := get(t, Handler(collector(example()), slog.New(newJournal())), "GET", Path)
	for _, text := range []string{"device has no room", "torn", "read-only", "busy", "gone", "no cgroup", "unknown key", "lockout", "rotated by", "only its CKN", "503 of the vault", "not read yet", "02:00:00:00:00:09", "192.0.2.1"} {
		if strings.Contains(body, text) {
			t.Errorf("%q is in a scrape", text)
		}
	}
	if !strings.Contains(body, `linkseal_port_alarm{alarm="tags",port="link2"} 1`) {
		t.Error("the alarms are not there")
	}
}

// What a port has at the most, by what bounds each: 512 circuits at two places,
// 64 tags, the 50 peers of MKA with four SAs each.
func TestCardinality(t *testing.T) {
	p := status.Port{Name: "link1", Filter: map[string]uint64{}, Drops: status.Drops{EventCounters: map[string]uint64{}}, Enforcement: &status.Enforcement{}}
	ways := []string{"ingress", "egress"}
	for _, way := range ways {
		for i := range uint16(513) {
			c := status.Circuit{STag: i + 1, CTag: 1, Direction: way, Traffic: status.Traffic{LastSeen: &now}, Rest: i == 512}
			p.Circuits, p.OuterCircuits = append(p.Circuits, c), append(p.OuterCircuits, c)
		}
		for i := range 65 {
			p.Classes = append(p.Classes, status.Class{Name: strconv.Itoa(i), Direction: way, Traffic: status.Traffic{LastSeen: &now}})
		}
	}
	for an := range uint8(4) {
		p.Accounts = append(p.Accounts, account.Account{Direction: account.Egress, AN: an, LastSeen: &now})
		for peer := range 50 {
			sci := strconv.Itoa(peer)
			p.Rx = append(p.Rx, status.Rx{SCI: sci, AN: an, Since: &now})
			p.Accounts = append(p.Accounts, account.Account{Direction: account.Ingress, SCI: sci, AN: an, LastSeen: &now})
		}
	}
	// Those of the circuits are 6156, of the SAs 2600, of the classes 390.
	const most = 9500
	n, err := testutil.GatherAndCount(newRegistry(collector(status.Status{Ports: []status.Port{p}})))
	if err != nil || n < 9000 || n > most {
		t.Errorf("%d series, at most %d (%v)", n, most, err)
	}
}

// A status with one thing twice costs that one thing, and is told in the log.
func TestOneThingWrong(t *testing.T) {
	s := example()
	s.Ports[0].Rx = append(s.Ports[0].Rx, s.Ports[0].Rx[0])
	log := newJournal()
	code, _, body := get(t, Handler(collector(s), slog.New(log)), "GET", Path)
	if code != 200 || !strings.Contains(body, `linkseal_port_state{port="link1",state="secured"} 1`) || log.count("a scrape of metrics") != 1 {
		t.Errorf("%d\n%s\n%s", code, body, log)
	}
}
