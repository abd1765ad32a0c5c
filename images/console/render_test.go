package console

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/provision"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/store"
	"github.com/linkseal/linkseal/images/update"
	"github.com/linkseal/linkseal/tests/golden"
)

var now = time.Date(2026, 11, 26, 17, 54, 3, 0, time.UTC)

func ago(d time.Duration) *time.Time { t := now.Add(-d); return &t }

// appliance is one that is provisioned and has what ports say.
func appliance(change func(*State)) *State {
	s := &State{
		Host: "ce-ams-1", Version: "0.1.0", Image: "20261126.175400", Slot: "a", SecureBoot: "on", Config: true, SSH: true, Now: now,
		Interfaces: []Interface{
			{Name: "eth0", MAC: "52:54:00:00:00:01", Up: true, Carrier: true, Addresses: []string{"10.0.0.4/24", "2001:db8::4/64"}},
			{Name: "eth1", Up: true, Carrier: true},
			{Name: "eth2", Up: true},
			{Name: "macsec1", Up: true, Carrier: true, Addresses: []string{"192.0.2.1/30"}},
		},
		Record: store.Record{Source: "NoCloud medium /dev/sr0", At: now.Add(-time.Hour), Digest: "x", Files: []string{bundle.Config}},
		Status: &status.Status{Name: "ce-ams-1"},
	}
	change(s)
	return s
}

func port(change func(*status.Port)) status.Port {
	p := status.Port{Name: "link1", Device: "eth1", Interface: "macsec1", State: status.Unsecured, Secure: "must", Passing: status.PassingNone, Cipher: "gcm-aes-xpn-256", Keychain: "link1",
		Counters:     map[string]uint64{},
		Participants: []status.Participant{{CKN: "96437a93", Fingerprint: "5f1c-22aa", Peers: []status.Peer{}}}}
	change(&p)
	return p
}

func withPort(change func(*status.Port), keychains ...status.Keychain) *State {
	return appliance(func(s *State) { s.Status.Ports, s.Status.Keychains = []status.Port{port(change)}, keychains })
}

func counted(p *status.Port, name, reason string) {
	p.Counters["mkpdus_received"], p.Counters[name], p.UnsecuredReason = 7, 7, reason
}

var states = map[string]*State{
	"empty": {Host: "linkseal", Version: "0.1.0", Now: now},
	"unprovisioned": appliance(func(s *State) {
		s.Config, s.SSH, s.Record, s.Status = false, false, store.Record{}, nil
		s.Interfaces = s.Interfaces[:3]
	}),
	"refused": appliance(func(s *State) {
		s.Config, s.SSH, s.Record, s.Status = false, false, store.Record{}, nil
		s.Outcomes = []provision.Outcome{{Source: "LINKSEAL medium /dev/sdb1", Result: provision.Refused, At: now, Remedy: "mend it and offer it again: put the medium in anew, or start the machine again",
			Reasons: []string{
				"/etc/linkseal/linkseal.yaml:5:13: there is no device eth9 on this machine; accepted: the name of a network interface (ip link lists them)",
				"/etc/linkseal/keys/link1.yaml:2:10: cak is malformed; accepted: 16 or 32 octets: 32 or 64 hex digits",
			}, Ignored: []string{"keys/notes.txt: the name does not end in .yaml"}},
			{Source: "NoCloud medium /dev/sr0", Result: provision.Empty, Reasons: []string{"it has nothing that an appliance is provisioned with"}}}
	}),
	"cut": appliance(func(s *State) {
		s.Config, s.SSH, s.Record, s.Status = false, false, store.Record{}, nil
		s.Outcomes = []provision.Outcome{provision.Cut("LINKSEAL medium /dev/sdb1", now, errors.New("install /etc/linkseal/keys/link1.yaml: no space left on device"))}
	}),
	"refused-later": withOutcome(provision.Outcome{Source: "LINKSEAL medium /dev/sdb1", Result: provision.Refused, At: now,
		Reasons: []string{"the appliance has been provisioned already, from NoCloud medium /dev/sr0 on 2026-11-26T16:54:03Z, and this is something else"},
		Remedy:  "to provision it again, remove /etc/linkseal/linkseal.yaml over SSH and offer it again; or write the image anew"}),
	"secured": appliance(func(s *State) {
		s.Trial = "on trial: 2 more starts, unless it proves itself before"
		s.Status.Ports = []status.Port{port(func(p *status.Port) {
			p.State, p.SecuredSince, p.Passing = status.Secured, ago(time.Minute), status.PassingProtected
			p.Participants[0].Principal = true
			p.Participants[0].Peers = []status.Peer{{SCI: "x", Live: true}}
		})}
		s.Status.Tunnels = []status.Tunnel{{Name: "hub1", Type: "wireguard", Interface: "wg-hub1", Remote: "10.20.0.5", State: status.Secured, Since: ago(time.Hour), Passing: status.PassingProtected,
			Members: []status.Member{{Live: true}, {N: 1}}}}
	}),
	"no-carrier": withPort(func(p *status.Port) {
		p.State, p.UnsecuredReason, p.Remedy = status.Down, "device eth1 has no carrier", "look at the cable, and at the peer's end"
	}),
	"no-peer": withPort(func(p *status.Port) {
		p.UnsecuredReason = "no MKPDU received: is the peer up, and are its EAPOL destination and EtherType the same?"
	}),
	"peer-gone": withPort(func(p *status.Port) {
		counted(p, "mkpdus_sent", "no MKPDU received for 12s, after there were some: is the peer still up, and the circuit to it?")
	}),
	"unknown-ckn": withPort(func(p *status.Port) {
		counted(p, "mkpdus_unknown_ckn", "peer 52:54:00:00:00:02 speaks under CKN 0badcafe, which is not in the keychain or not in its window")
	}),
	"icv": withPort(func(p *status.Port) {
		counted(p, "mkpdus_icv_bad", "CKN 96437a93: the ICV of MKPDUs from 52:54:00:00:00:02 is bad: the CAKs differ; compare the fingerprints that linkseal keys list shows at both ends")
	}),
	"one-way": withPort(func(p *status.Port) {
		p.Participants[0].Peers = []status.Peer{{SCI: "5254000000020001"}}
		p.UnsecuredReason = "CKN 96437a93: peer 5254000000020001 is heard but does not list us: our MKPDUs do not reach it, or it refuses them"
	}),
	"waiting": withPort(func(p *status.Port) {
		p.Participants[0].Peers = []status.Peer{{SCI: "5254000000020001", Live: true}}
		p.UnsecuredReason = "CKN 96437a93: waiting for key server 5254000000020001 to distribute a SAK"
	}),
	"clear": withPort(func(p *status.Port) {
		p.Secure, p.Passing, p.UnsecuredReason = "should", status.PassingClear, "no MKPDU received"
	}),
	"expired": withPort(func(p *status.Port) {
		p.Participants, p.UnsecuredReason = nil, "no key of its keychain may be used now: add one, or look at the windows with linkseal keys list"
	}, status.Keychain{Name: "link1", From: "/etc/linkseal/keys/link1.yaml", Keys: []status.Key{{State: "expired", Expires: ago(time.Hour)}, {State: "expired", Expires: ago(48 * time.Hour)}}}),
	"not-yet": withPort(func(p *status.Port) {
		p.Participants, p.UnsecuredReason = nil, "no key of its keychain may be used now: add one, or look at the windows with linkseal keys list"
	}, status.Keychain{Name: "link1", From: "/etc/linkseal/keys/link1.yaml", Keys: []status.Key{{State: "not_yet", NotBefore: ago(-time.Hour)}}}),
	"no-source": withPort(func(p *status.Port) {
		p.Participants, p.UnsecuredReason = nil, "no key of its keychain may be used now: add one, or look at the windows with linkseal keys list"
	}, status.Keychain{Name: "link1", From: "https://contoso.vault.azure.net", Error: "the vault cannot be reached: no route to host"}),
	"alarms": appliance(func(s *State) {
		s.Status.Reload = []string{"/etc/linkseal/linkseal.yaml:3:1: unknown key \"prots\" in the configuration (did you mean ports?); accepted: version, name"}
		s.Status.SealError, s.Status.ClockHeld = "no space left on device", ago(-24*time.Hour)
		s.Status.Metrics = &status.Metrics{Listen: "10.0.0.9:9469", Error: "cannot assign requested address"}
		s.Status.Ports = []status.Port{port(func(p *status.Port) {
			p.State, p.SecuredSince, p.Passing = status.Secured, ago(time.Minute), status.PassingProtected
			p.Participants[0].Held, p.KeysError, p.StateError, p.Problem = true, "key file /etc/linkseal/keys/link1.yaml has mode 0644", "read-only file system", "the MTU cannot be set"
		})}
		s.Faults = []string{"network interfaces: too many open files"}
	}),
	"tunnel": appliance(func(s *State) {
		s.Status.Tunnels = []status.Tunnel{
			{Name: "hub1", Type: "wireguard", Interface: "wg-hub1", Local: "10.0.0.4", Remote: "10.20.0.5", State: status.Unsecured, Passing: status.PassingNone, Members: []status.Member{{Problem: "no handshake since the start"}}},
			{Name: "hub2", Type: "ipsec", Remote: "10.30.255.4", State: status.Secured, Passing: status.PassingProtected, Members: []status.Member{{Live: true}}, ClearRoutes: []string{"10.30.0.0/17 by eth0 (table main)"}, Problem: "the remote narrowed the traffic selectors", Remedy: "the same traffic selectors at both ends"},
		}
	}),
	"no-daemon": appliance(func(s *State) {
		s.Status, s.NoStatus = nil, "no daemon answers on /run/linkseal/linkseal.sock; start it with linkseal run --config FILE"
	}),
	"starting": appliance(func(s *State) { s.Status, s.NoStatus, s.Starting = nil, "no daemon answers", true }),
	"bad-config": appliance(func(s *State) {
		s.Status, s.NoStatus, s.SSH = nil, "no daemon answers", false
		s.Wrong = []string{"/etc/linkseal/linkseal.yaml:2:1: unknown key \"prots\" in the configuration (did you mean ports?); accepted: version, name", "x", "x", "x", "x", "x", "x", "x", "x"}
	}),
	"hostile": appliance(func(s *State) {
		s.Status.Ports = []status.Port{port(func(p *status.Port) {
			p.Name, p.UnsecuredReason = "l\x1b[2J\u202e", strings.Repeat("x", 300)+"\n\x1b]0;x\a\u00e9"
			p.State = "new state"
		})}
		s.Interfaces = append(s.Interfaces, Interface{Name: strings.Repeat("w", 80)})
	}),
}

func withOutcome(o provision.Outcome) *State {
	return appliance(func(s *State) { s.Outcomes = []provision.Outcome{o} })
}

func TestSections(t *testing.T) {
	for name, s := range states {
		lines := Lines(s.Sections())
		for _, l := range lines {
			if len(l) > Width || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimRight(l, " ") != l {
				t.Errorf("%s: %q", name, l)
			}
		}
		path := filepath.Join("testdata", name+".txt")
		got := strings.Join(lines, "\n") + "\n"
		golden.Check(t, path, got)
	}
}

// A log has what is new, and nothing that only time has changed.
func TestChanged(t *testing.T) {
	before := states["peer-gone"].Sections()
	later := withPort(func(p *status.Port) {
		counted(p, "mkpdus_sent", "no MKPDU received for 1m2s, after there were some: is the peer still up, and the circuit to it?")
	})
	if changed, gone := Changed(before, later.Sections()); len(changed)+len(gone) != 0 {
		t.Errorf("%v, %v", changed, gone)
	}
	changed, gone := Changed(before, states["no-carrier"].Sections())
	if len(changed) != 1 || changed[0].Title != "Link link1: macsec1 on eth1" || len(gone) != 0 {
		t.Errorf("%v, %v", changed, gone)
	}
	if got, want := Log(changed, []string{"Tunnel hub1"}, now), "--- linkseal, 2026-11-26 17:54:03 UTC ---\nLink link1: macsec1 on eth1\n  DOWN      no traffic passes\n"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\nTunnel hub1: gone\n\n") {
		t.Errorf("%q", got)
	}
	if got := Log(nil, []string{"Configuration", "Alarms"}, now); !strings.HasSuffix(got, "\nConfiguration: the daemon runs it\nAlarms: none now\n\n") {
		t.Errorf("%q", got)
	}
	if _, gone := Changed(before, states["tunnel"].Sections()); len(gone) != 1 || gone[0] != "Link link1: macsec1 on eth1" {
		t.Errorf("%v", gone)
	}
}

func TestScreen(t *testing.T) {
	lines := []string{"a", "b", "c", "d"}
	if got := Screen(lines, 25); got != "\x1b[?25l\x1b[Ha\x1b[K\r\nb\x1b[K\r\nc\x1b[K\r\nd\x1b[K\r\n\x1b[J" {
		t.Errorf("%q", got)
	}
	if got := Screen(lines, 4); strings.Contains(got, "c\x1b") || !strings.Contains(got, "(more: ") || strings.Count(got, "\r\n") != 3 {
		t.Errorf("%q", got)
	}
}

func TestBoot(t *testing.T) {
	two := 2
	running := update.Version{Slot: "b", Version: "2", State: update.Good}
	for _, c := range []struct {
		o    update.Overview
		want string
	}{
		{update.Overview{Running: running}, ""},
		{update.Overview{Running: running, Last: &update.Update{Version: "2", Result: update.Holds}}, ""},
		{update.Overview{Running: update.Version{Slot: "b", Version: "3", State: update.Trial, TriesLeft: &two}}, "version 3 is on trial: unless it proves itself, the one before is booted again, after 2 more starts at the most"},
		{update.Overview{Running: running, Last: &update.Update{Version: "3", Result: update.FellBack, Reasons: []string{"a", "b"}}}, "to version 3 FAILED, and this one was booted again: a; b"},
		{update.Overview{Running: running, Last: &update.Update{Version: "3", Result: update.Waiting}}, "to version 3 waits for a reboot"},
		{update.Overview{Running: running, Last: &update.Update{Version: "3", Result: update.Installing}}, "to version 3 is being written"},
		{update.Overview{Running: running, Last: &update.Update{Version: "3", Result: update.Interrupted}}, "to version 3 did not end; install it again"},
	} {
		if got := boot(c.o); got.Trial != c.want || got.Slot != "b" {
			t.Errorf("%+v, want %q", got, c.want)
		}
	}
}
