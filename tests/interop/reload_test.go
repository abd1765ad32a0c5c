package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestReload: what is bad is refused as a whole and told, and what runs goes
// on; what is good is taken without a loss.
func TestReload(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{})
	ports := p.start(t)
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 20)
	before := device(t, p.west)
	same := func(what string) {
		t.Helper()
		s := wait(t, "the port as it was", secured, p.west)[0]
		if s.Tx.Key != ports[0].Tx.Key || device(t, p.west) != before {
			t.Errorf("%s: the port was %+v\n%s\nand is %+v\n%s", what, ports[0].Tx, before, s.Tx, device(t, p.west))
		}
	}

	// A configuration with two errors: both are told.
	good, err := os.ReadFile(p.west.ConfigFile())
	check(t, err)
	bad := strings.Replace(string(good), "cipher: gcm-aes-256", "cipher: rot13\n    colour: blue", 1)
	check(t, os.WriteFile(p.west.ConfigFile(), []byte(bad), 0o644), p.west.Signal(unix.SIGHUP))
	eventually(t, "the reload's errors", func() bool {
		all := strings.Join(p.west.ReloadErrors(t.Context()), "\n")
		return strings.Contains(all, "rot13") && strings.Contains(all, "colour")
	})
	same("a bad reload")

	// A key file that others may read, and one that is torn: the keys stay.
	check(t, os.WriteFile(p.west.ConfigFile(), good, 0o644), os.Chmod(p.west.KeysFile(), 0o644))
	wait(t, "the key file to be refused", func(s status.Port) bool { return strings.Contains(s.KeysError, "0600") }, p.west)
	same("a permissive key file")
	check(t, p.west.Signal(unix.SIGHUP))
	eventually(t, "the reload to be refused", func() bool {
		return strings.Contains(strings.Join(p.west.ReloadErrors(t.Context()), "\n"), "0600")
	})
	same("a reload with a permissive key file")
	check(t, os.Chmod(p.west.KeysFile(), 0o600))
	wait(t, "the key file to be accepted", func(s status.Port) bool { return s.KeysError == "" }, p.west)
	check(t, os.WriteFile(p.west.KeysFile(), []byte("keys:\n  - {ckn: 00"), 0o600))
	wait(t, "the torn key file to be refused", func(s status.Port) bool { return s.KeysError != "" }, p.west)
	same("a torn key file")
	check(t, p.west.WriteKeys(p.key), p.west.Signal(unix.SIGHUP))
	wait(t, "the key file to be accepted", func(s status.Port) bool { return s.KeysError == "" }, p.west)
	eventually(t, "a reload without errors", func() bool { return len(p.west.ReloadErrors(t.Context())) == 0 })
	same("a reload that changes nothing")

	// A key added by editing the file, without SIGHUP.
	added := key(t, 16, 32)
	check(t, p.west.WriteKeys(p.key, added))
	wait(t, "the added key's participant", func(s status.Port) bool { return len(s.Participants) == 2 }, p.west)
	same("a key added at one end")

	if c := x.Stop(); c.Lost() > 0 {
		t.Error(c)
	}
	nothingToPlan(t, p.both()...)
}

// A port's parameters changed by reload: MTU and an address go to the living
// device; the cipher suite needs a new one, and both ends secure again.
func TestReloadChanges(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{})
	key0 := p.start(t)[0].Tx.Key
	for _, a := range p.both() {
		check(t, a.WriteConfig(lab.Port{Extra: []string{"mtu: 1400"}}), a.Signal(unix.SIGHUP))
		eventually(t, "the MTU", func() bool { return strings.Contains(device(t, a), "mtu 1400") })
	}
	if s := p.settled(t, p.key.CKN); s[0].Tx.Key != key0 {
		t.Error("a change of MTU cost the SAK")
	}
	nothingToPlan(t, p.both()...)
	for _, a := range p.both() {
		check(t, a.WriteConfig(lab.Port{Cipher: "gcm-aes-xpn-128"}), a.Signal(unix.SIGHUP))
	}
	wait(t, "the new suite", func(s status.Port) bool {
		return lab.Settled(s, p.key.CKN) && s.Cipher == "gcm-aes-xpn-128" && s.Tx.Key != key0
	}, p.both()...)
	nothingToPlan(t, p.both()...)
	carries(t, p.west, p.east)
}

// A carrier that goes for less than 3 s keeps the SAs and the key.
func TestCarrierFlap(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{Bridge: true}, lab.Port{})
	ports := p.start(t)
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 20)
	for range times(5, 2) {
		start := time.Now()
		check(t, p.SetCarrier(0, false))
		wait(t, "west to see it", func(s status.Port) bool { return s.State == status.Down }, p.west)
		check(t, p.SetCarrier(0, true))
		if down := time.Since(start); down > 3*time.Second {
			t.Errorf("the carrier was down for %v: no flap", down)
		}
		p.settled(t, p.key.CKN)
		flows(t, x, 20)
	}
	for i, s := range p.settled(t, p.key.CKN) {
		if s.Tx.Key != ports[i].Tx.Key || s.Tx.AN != ports[i].Tx.AN || s.Tx.PN <= ports[i].Tx.PN {
			t.Errorf("%s: the SA was %+v and is %+v", p.both()[i].Name, *ports[i].Tx, *s.Tx)
		}
	}
	nothingToPlan(t, p.both()...)
}

// A transmit SA that somebody switches off encodes again; a MACsec device that
// somebody deletes is made again, and the link secured; a parent that vanishes
// is reported, and taken again when it is back.
func TestVanished(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{Bridge: true}, lab.Port{})
	tx := p.start(t)[0].Tx
	key0 := tx.Key
	ip := func(args string) {
		t.Helper()
		if out, err := p.west.NS.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 20)
	ip(fmt.Sprintf("macsec set %s tx sa %d off", lab.Interface, tx.AN))
	flows(t, x, 20)
	x.Stop()
	if now := p.settled(t, p.key.CKN)[0].Tx; now == nil || now.Key != key0 || now.PN <= tx.PN {
		t.Errorf("the SA that was switched off, %+v, is now %+v", tx, now)
	}

	ip("link del " + lab.Interface)
	wait(t, "a new SAK on a new device", func(s status.Port) bool {
		return lab.Settled(s, p.key.CKN) && s.Tx.Key != key0
	}, p.both()...)
	nothingToPlan(t, p.both()...)
	carries(t, p.west, p.east)

	// A driver that is unloaded, or a name that is taken away.
	ip("link set " + lab.Device + " down")
	eventually(t, "the parent to be set up again", func() bool { return strings.Contains(p.west.Log(), "set "+lab.Device+" up") })
	p.settled(t, p.key.CKN)
	ip("link del " + lab.Device)
	s := wait(t, "the missing device to be reported", func(s status.Port) bool {
		return s.State == status.Down && strings.Contains(s.UnsecuredReason, lab.Device)
	}, p.west)[0]
	if s.Remedy == "" {
		t.Errorf("no remedy beside %q", s.UnsecuredReason)
	}
	check(t, p.Recable(0))
	p.settled(t, p.key.CKN)
	nothingToPlan(t, p.both()...)
	carries(t, p.west, p.east)
}
