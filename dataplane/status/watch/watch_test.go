package watch

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/golden"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var udp = uint8(17)

func at(d time.Duration) *time.Time {
	t := noon.Add(d)
	return &t
}

// example is a secured port in the middle of a rotation, and one that fails,
// at noon.
func example() Sample {
	const a, b, key = "96437a93ccf10d9dfe347846cce52c7d", "01", "0102030405060708090a0b0c/2"
	return Sample{At: noon, Status: status.Status{Name: "ce-ams-1", Version: "0.1.0", SealError: "TPM: lockout", Ports: []status.Port{
		{Name: "link1", Interface: "macsec1", Dataplane: "kernel", State: status.Secured, Secure: "must", Cipher: "gcm-aes-xpn-256",
			SecuredSince: at(-26 * time.Hour), Passing: status.PassingProtected,
			Participants: []status.Participant{
				{CKN: a, Principal: true, KeyServer: true, Peers: []status.Peer{{SCI: "0200000000020001", Live: true}, {SCI: "0200000000050001", Live: true, Suspended: true}}},
				{CKN: b, Held: true}},
			Tx: &status.Tx{AN: 1, PN: 4711, Key: key, CKN: a, PeersTransmit: true, Since: at(-90 * time.Second)},
			Rx: []status.Rx{{SCI: "0200000000020001", AN: 1, PN: 815, Key: key, CKN: a, Since: at(-90 * time.Second)}, {SCI: "0200000000020001", AN: 0, PN: 9}},
			Counters: map[string]uint64{"in_pkts_ok": 814, "in_octets_decrypted": 81400, "in_octets_validated": 0, "in_pkts_late": 5, "in_pkts_untagged": 0,
				"out_pkts_encrypted": 4710, "out_octets_encrypted": 4710000, "mkpdus_sent": 12, "mkpdus_received": 11, "mkpdus_icv_bad": 3},
			Filter: map[string]uint64{"ingress_macsec_packets": 820, "ingress_macsec_octets": 90000, "ingress_dropped_packets": 3, "ingress_dropped_octets": 180,
				"ingress_eapol_limited_packets": 7, "ingress_eapol_limited_octets": 700, "egress_macsec_packets": 4710, "egress_macsec_octets": 4860000, "egress_tagged_packets": 1, "egress_tagged_octets": 64, "egress_clear_packets": 0},
			Drops: status.Drops{Events: []status.Event{{Time: *at(-time.Second), Direction: "egress", Reason: "dropped", Size: 98, Source: "02:00:00:00:00:01", Destination: "02:00:00:00:00:02",
				VLANs: []uint16{7, 9}, EtherType: "0x0800", Protocol: &udp, From: "192.0.2.1:53", To: "192.0.2.2:53"},
				{Time: *at(-time.Minute), Direction: "ingress", Reason: "eapol_limited", Size: 60, Source: "02:00:00:00:00:03", Destination: "01:80:c2:00:00:03", EtherType: "0x888e"}},
				EventsLost: 4}, NoAccount: &account.Count{Packets: 2, Octets: 128},
			Enforcement: &status.Enforcement{Ingress: "native", Egress: "tcx", GuardError: "no cgroup"},
			Accounts: []account.Account{
				{Direction: account.Egress, SCI: "0200000000010001", AN: 1, Key: key, From: *at(-90 * time.Second), Packets: 4710, Octets: 4860000, AllowedOctets: 300, LastSeen: at(-time.Second)},
				{Direction: account.Ingress, SCI: "0200000000020001", AN: 1, Key: key, From: *at(-90 * time.Second), Packets: 814, Octets: 90000, Gaps: 2, ClearOctets: 60},
				{Direction: account.Ingress, SCI: "0200000000020001", AN: 0, Key: key, From: *at(-time.Hour), To: at(-time.Minute)}},
			OuterCircuits: []status.Circuit{{STag: 7, Direction: "ingress", Traffic: status.Traffic{Packets: 6, Octets: 600, LastSeen: at(-time.Minute)}}},
			Tagging: status.Tagging{TagsError: "busy",
				Circuits: []status.Circuit{{Direction: "egress", Traffic: status.Traffic{Packets: 4, Octets: 400, LastSeen: at(-time.Second)}}, {STag: 100, CTag: 10, Direction: "ingress", Traffic: status.Traffic{Packets: 3, Octets: 300, LastSeen: at(-time.Second)}}},
				Classes:  []status.Class{{Name: "voice", Direction: "egress", Traffic: status.Traffic{Packets: 4, Octets: 400, LastSeen: at(-time.Second)}}, {Name: "other", Direction: "egress"}}}},
		{Name: "link2", Dataplane: "userspace", State: status.Unsecured, Secure: "should", Cipher: "gcm-aes-256", Passing: status.PassingClear,
			UnsecuredReason: "no live peer: ICV of MKPDUs from 02:00:00:00:00:04 under CKN 01 is bad: the CAK differs",
			Remedy:          "compare `linkseal keys list` at both ends",
			Participants:    []status.Participant{{CKN: b, Peers: []status.Peer{{SCI: "0200000000040001"}}}}},
	}, Tunnels: tunnels(), Keychains: []status.Keychain{
		{Name: "link1", Keys: []status.Key{{CKN: a, State: "active", NotBefore: at(-24 * time.Hour), Expires: at(29 * 24 * time.Hour)}, {CKN: b, State: "expired", Expires: at(-time.Hour), Fallback: true}},
			Rotation: &status.Rotation{Phase: "settled", CKN: a, RetireAt: at(time.Hour), Next: at(28 * 24 * time.Hour)},
			Vault: &status.Vault{Faults: []status.Fault{{Kind: "server_error", Text: "503 \x1b[2J said\u202e the vault", Since: *at(-time.Hour)}},
				Refused: []string{"pair 11: only its CKN is there"}}},
		{Name: "hub1-psk", Keys: []status.Key{{ID: "psk-2026-11", State: "active", NotBefore: at(-24 * time.Hour)}}},
	}}}
}

// after is example after d, in which counters and PNs have grown.
func after(d time.Duration) Sample {
	s := example()
	s.At = noon.Add(d)
	p := &s.Status.Ports[0]
	for name, n := range map[string]uint64{"in_pkts_ok": 2000, "in_octets_decrypted": 2_000_000, "out_pkts_encrypted": 25_000_000, "out_octets_encrypted": 25_000_000_000, "in_pkts_late": 1} {
		p.Counters[name] += n
	}
	p.Counters["mkpdus_sent"] = 1 // it began anew
	p.Counters["mkpdus_malformed_agility"] = 1
	p.Filter["ingress_dropped_packets"] += 10
	p.Filter["ingress_dropped_octets"] += 600
	p.Accounts[0].Octets += 25_000_000_000
	p.Accounts[1].From = noon // counted anew
	p.OuterCircuits[0].Packets, p.OuterCircuits[0].Octets = 106, 10600
	p.Circuits[1] = status.Circuit{STag: 100, CTag: 11, Direction: "ingress", Traffic: p.Circuits[1].Traffic}
	p.Classes[0].Packets, p.Classes[0].Octets = 9, 900
	p.Tx.PN += 25_000_000
	p.Rx[0].PN += 2000
	p.Rx[1].Key = "another"
	grown(&s.Status.Tunnels[0], &s.Status.Tunnels[1])
	return s
}

// The first sample, which has no rates; one 2.5 s after it; no answer; and the
// first answer after that, which has no rates again.
func TestGolden(t *testing.T) {
	v := View{}.Next(example())
	golden.Check(t, "testdata/first.txt", Block(v.Lines()))
	v = v.Next(after(2500 * time.Millisecond))
	golden.Check(t, "testdata/rates.txt", Block(v.Lines()))
	v = v.Lose(errors.New("no daemon answers on /run/ctl"), noon.Add(5*time.Second))
	golden.Check(t, "testdata/lost.txt", Block(v.Lines()))
	v = v.Next(after(8 * time.Second))
	if v.Before != nil || v.Lost != nil || strings.Contains(Block(v.Lines()), "rates of") {
		t.Errorf("rates of the time of silence:\n%s", Block(v.Lines()))
	}
	if v = v.Next(after(9 * time.Second)); !strings.Contains(Block(v.Lines()), "rates of the last 1.0 s") {
		t.Errorf("no rates of the second sample after the silence:\n%s", Block(v.Lines()))
	}
}

// Without any answer there is nothing but that.
func TestNeverAnswered(t *testing.T) {
	got := Block(View{}.Lose(errors.New("no daemon answers"), noon).Lines())
	if want := "NO ANSWER at 2026-11-24 12:00:00Z: no daemon answers; tried again\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A frame has no more rows and columns than the terminal, whatever the lines.
func TestFrame(t *testing.T) {
	lines := View{}.Next(example()).Next(after(time.Second)).Lines()
	for _, size := range []Size{{0, 0}, {1, 1}, {20, 2}, {40, 10}, {80, 24}, {300, 100}} {
		frame := Frame(lines, size)
		if !strings.HasPrefix(frame, home) || !strings.HasSuffix(frame, eraseRest) {
			t.Errorf("%v: %q", size, frame)
		}
		text := strings.NewReplacer(home, "", eraseLine, "", eraseRest, "", bold, "", red, "", normal, "").Replace(frame)
		rows := strings.Split(text, "\r\n")
		if strings.ContainsRune(text, '\x1b') || len(rows) > max(size.Rows, 1) {
			t.Errorf("%v: %d rows, %q", size, len(rows), text)
		}
		for _, r := range rows {
			if n := len([]rune(r)); n > size.Columns {
				t.Errorf("%v: %d columns: %q", size, n, r)
			}
		}
		if cut := strings.Contains(text, "more lines"); size.Columns >= 80 && cut != (len(lines) > size.Rows) {
			t.Errorf("%v: tells of a cut: %v", size, cut)
		}
	}
	golden.Check(t, "testdata/frame.txt", strings.ReplaceAll(Frame(lines, Size{60, 12}), "\x1b", "^[")+"\n")
}

func TestShort(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.04: "0.0", 0.4: "0.4", 9.94: "9.9", 9.95: "10", 12.4: "12", 999.4: "999", 999.5: "1.00k", 1234: "1.23k", 12345: "12.3k",
		99_950: "100k", 999_499: "999k", 999_500: "1.00M", 1e10: "10.0G", 5e19: "50.0E", 5e22: "50000E", unknown: "-"} {
		if got := short(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}

// What counters tell is told once there are two readings that go together.
func TestRates(t *testing.T) {
	last := map[string]uint64{"a": 30, "b": 5, "new": 1}
	r := rates{last: last, before: map[string]uint64{"a": 10, "b": 6}, seconds: 4}
	for name, want := range map[string]string{"a": "5.0", "b": "-", "new": "-", "absent": "0"} {
		if got := short(r.of(name)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := short(r.of("a", "absent")); got != "5.0" {
		t.Errorf("a sum: %s", got)
	}
	r.seconds, r.before = 0, maps.Clone(last)
	if got := short(r.of("a")); got != "-" {
		t.Errorf("of one reading: %s", got)
	}
}
