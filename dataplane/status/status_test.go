package status

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/tests/golden"
)

var since = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// example has a secured port and one that fails, as the daemon reports them.
func example() Status {
	return Status{Name: "ce-ams-1", Version: "0.1.0", Ports: []Port{
		{Name: "link1", Device: "eth1", Interface: "macsec1", Dataplane: "kernel", DataplaneReason: "configured", State: Secured, Secure: "must",
			Cipher: "gcm-aes-xpn-256", Encrypt: true, SCI: "0200000000010001", SecuredSince: &since, Passing: "protected", Keychain: "link1",
			Participants: []Participant{{CKN: "96437a93ccf10d9dfe347846cce52c7d", Principal: true, KeyServer: true, Priority: 16,
				Fingerprint: "0011223344556677", MI: "0102030405060708090a0b0c",
				Peers: []Peer{{SCI: "0200000000020001", MI: "1112131415161718191a1b1c", Live: true, Priority: 16}}}},
			Tx:            &Tx{AN: 1, PN: 4711, Key: "0102030405060708090a0b0c/2", CKN: "96437a93ccf10d9dfe347846cce52c7d", PeersTransmit: true, Since: &since},
			Rx:            []Rx{{SCI: "0200000000020001", AN: 1, PN: 815, Key: "0102030405060708090a0b0c/2", Since: &since}},
			Counters:      map[string]uint64{"out_pkts_encrypted": 4710, "in_pkts_ok": 814, "in_pkts_late": 0, "mkpdus_sent": 12},
			Filter:        map[string]uint64{"ingress_dropped_packets": 3, "egress_dropped_packets": 1},
			OuterCircuits: []Circuit{{STag: 7, Direction: "ingress", Traffic: Traffic{Packets: 6, Octets: 600, LastSeen: &since}}},
			NoAccount:     &account.Count{Packets: 3, Octets: 210},
			Drops:         Drops{EventCounters: map[string]uint64{"ingress_dropped": 2, "egress_dropped": 0}, EventLastSeen: map[string]time.Time{"ingress_dropped": since}},
			Enforcement:   &Enforcement{Ingress: "native", Egress: "tcx", Guard: true, Refused: map[string]uint64{"bypass": 2, "xdp": 0}},
			Accounts: []account.Account{
				{Direction: account.Egress, SCI: "0200000000010001", AN: 1, Key: "0102030405060708090a0b0c/2", CKN: "96437a93ccf10d9dfe347846cce52c7d",
					From: since, Packets: 4710, Octets: 700000, LastSeen: &since, PNHigh: 4710, DroppedPackets: 1, DroppedOctets: 60},
				{Direction: account.Egress, SCI: "0200000000010001", AN: 0, Key: "0102030405060708090a0b0c/1", From: since, To: &since, Packets: 3, Octets: 300, PNHigh: 4, Gaps: 1, Cut: true}},
			Tagging: Tagging{TagsBy: "tcx",
				Circuits: []Circuit{{Direction: "egress", Traffic: Traffic{Packets: 2, Octets: 120, LastSeen: &since}},
					{STag: 100, CTag: 10, Direction: "ingress", Traffic: Traffic{Packets: 3, Octets: 300, LastSeen: &since}},
					{CTag: 11, Direction: "egress", Traffic: Traffic{Packets: 1, Octets: 64, LastSeen: &since}},
					{Rest: true, Direction: "egress", Traffic: Traffic{Packets: 1, Octets: 64, LastSeen: &since}}},
				Classes: []Class{{Name: "voice", Direction: "egress", Traffic: Traffic{Packets: 2, Octets: 120, LastSeen: &since}}, {Name: "other", Direction: "egress"}}}},
		{Name: "link2", Device: "eth2", Interface: "macsec2", Dataplane: "userspace",
			DataplaneReason: "auto: the kernel has no MACsec (operation not supported)", State: Unsecured, Secure: "should",
			Cipher: "gcm-aes-256", Passing: "clear", Keychain: "link2", SCI: "0200000000030001",
			UnsecuredReason: "no live peer: ICV of MKPDUs from 02:00:00:00:00:04 under CKN 01 is bad: the CAK differs",
			Remedy:          "compare `linkseal keys list` at both ends", KeysError: "/etc/linkseal/keys/link2.yaml: torn", StateError: "open /var/lib/linkseal: read-only file system",
			Participants: []Participant{{CKN: "01", Priority: 16, Peers: []Peer{{SCI: "0200000000040001", MI: "2112131415161718191a1b1c"}}}}},
	}, Keychains: []Keychain{
		{Name: "link1", Source: "azure-key-vault", From: "https://contoso.vault.azure.net", Sealed: true, Error: "not read yet",
			Keys: []Key{{CKN: "96437a93ccf10d9dfe347846cce52c7d", State: "active", NotBefore: &since, Fingerprint: "0011223344556677",
				Pair: "6b0b1d7e", CAKVersion: "d3a1", CKNVersion: "90cc"}},
			Rotation:  &Rotation{Phase: "settled", CKN: "96437a93ccf10d9dfe347846cce52c7d", Since: &since, RetireAt: &since, Next: &since, Error: "rotated by ce-ams-2"},
			Rotations: map[string]uint64{"done": 2, "failed": 1, "refused": 0},
			Vault: &Vault{Faults: []Fault{{Kind: "server_error", Text: "the vault answers 503", Since: since, Polls: 3}}, Refused: []string{"pair 11: only its CKN is there"},
				Counters: map[string]uint64{"polls": 4}}},
		{Name: "link2", Source: "file", From: "/etc/linkseal/keys/link2.yaml", Keys: []Key{{CKN: "01", State: "expired", Expires: &since, Fallback: true, Fingerprint: "8899aabbccddeeff"}}},
	}, SealError: "TPM: lockout", ClockHeld: &since, Metrics: &Metrics{Listen: "127.0.0.1:9469", Error: "address already in use"}}
}

func TestJSON(t *testing.T) {
	s := example()
	s.Fill()
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/status.json", string(got)+"\n")
}

// The names and the nesting that the interface promises, apart from the golden
// file, which may be written anew.
func TestJSONPromise(t *testing.T) {
	s := example()
	s.Fill()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"name": "ce-ams-1", "version": "0.1.0", "tunnels": []any{},
		"ports.0.name": "link1", "ports.0.device": "eth1", "ports.0.interface": "macsec1", "ports.0.dataplane": "kernel",
		"ports.0.state": "secured", "ports.0.cipher": "gcm-aes-xpn-256", "ports.0.sci": "0200000000010001",
		"ports.0.secured_since":      "2026-11-24T12:00:00Z",
		"ports.0.participants.0.ckn": "96437a93ccf10d9dfe347846cce52c7d", "ports.0.participants.0.principal": true,
		"ports.0.participants.0.key_server": true, "ports.0.participants.0.priority": 16.0,
		"ports.0.participants.0.peers.0.sci": "0200000000020001", "ports.0.participants.0.peers.0.mi": "1112131415161718191a1b1c",
		"ports.0.participants.0.peers.0.live": true,
		"ports.0.tx.an":                       1.0, "ports.0.tx.pn": 4711.0,
		"ports.0.rx.0.sci": "0200000000020001", "ports.0.rx.0.an": 1.0, "ports.0.rx.0.pn": 815.0,
		"ports.0.counters.in_pkts_ok": 814.0,
		"ports.0.dataplane_reason":    "configured", "ports.1.dataplane": "userspace",
		"ports.1.state": "unsecured", "ports.1.secured_since": nil, "ports.1.tx": nil, "ports.1.rx": []any{}, "ports.1.counters": map[string]any{},
	} {
		got, ok := lookup(document, path)
		if !ok || !cmp.Equal(want, got) {
			t.Errorf("%s: %v (there: %v), want %v", path, got, ok, want)
		}
	}
}

func lookup(v any, path string) (any, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			next, ok := x[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i := int(part[0] - '0')
			if i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func TestWrite(t *testing.T) {
	s := example()
	s.Reload = []string{"linkseal.yaml:3:5: unknown key"}
	var b bytes.Buffer
	if err := s.Write(&b, since.Add(26*time.Hour+30*time.Minute)); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, "testdata/status.txt", b.String())
}

func TestAge(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "59s": 59*time.Second + 999*time.Millisecond, "2m10s": 130 * time.Second,
		"1h1m": 3661 * time.Second, "3d4h": 76*time.Hour + time.Minute,
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}
