package interop

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// vaultPoll is how often the appliances ask by themselves: each time is a process
// of its own, and the guest's processors are emulated.
const vaultPoll = "5m"

// ask has appliances ask their vault out of turn.
func ask(t *testing.T, appliances ...*lab.Appliance) {
	t.Helper()
	for _, a := range appliances {
		_, errs, exit, err := a.Verb(t.Context(), "reload", "--socket", a.Socket())
		if check(t, err); exit != 0 {
			t.Fatalf("reload at %s: %s", a.Name, errs)
		}
	}
}

// Pairs out of a vault take each other's place under traffic, with the kernel's
// MACsec at both ends. A rollover counts when both ends encode under the new CKN
// and nothing of the old is left. Between two, the SAK is rekeyed by its age.
func TestVault(t *testing.T) {
	t.Parallel()
	port := lab.Port{Cipher: "gcm-aes-xpn-256", MKA: "rekey: 10s"}
	p := newPair(t, lab.Options{}, port)
	_, err := p.StartVault(vaultPoll)
	check(t, err, p.west.WriteConfig(port), p.east.WriteConfig(port))
	p.key = key(t, 32, 32)
	last := p.PutPair(p.key)
	p.start(t)
	sealed := wires(t, p.both()...)
	every := times(time.Millisecond, 20*time.Millisecond)
	x := traffic(t, p.west, p.east, every)
	flows(t, x, 50)
	before := device(t, p.west)
	rounds := times(20, 1)
	for range rounds {
		old := last
		p.key = key(t, 32, 32)
		last = p.PutPair(p.key)
		ask(t, p.both()...)
		wait(t, "both to encode under the new CKN", func(s status.Port) bool { return lab.CKN(s) == p.key.CKN }, p.both()...)
		p.DisablePair(old)
		ask(t, p.both()...)
		was := wait(t, "the old pair to be gone", func(s status.Port) bool { return lab.Settled(s, p.key.CKN) && len(s.Participants) == 1 }, p.both()...)[0].Tx.Key
		wait(t, "a rekey", func(s status.Port) bool { return lab.Settled(s, p.key.CKN) && s.Tx.Key != was }, p.both()...)
	}
	flows(t, x, 50)
	c := x.Stop()
	if c.Lost() > 0 {
		t.Error(c)
	}
	if after := device(t, p.west); after != before {
		t.Errorf("the device was\n%s\nand is\n%s", before, after)
	}
	sealed()
	figure(t, "CAK rollover out of a vault and SAK rekey, kernel MACsec, %d times each under a datagram every %v: %d of %d lost", rounds, every, c.Lost(), c.Sent)
}

// wpa_supplicant has one key at a time. linkseal has the old and the new one,
// follows it to the new one when it comes up with that, and lets the old one go
// when the vault does.
func TestVaultSupplicant(t *testing.T) {
	t.Parallel()
	old, next := key(t, 16, 16), key(t, 16, 16)
	m := newMixed(t, old, lab.Port{Cipher: "gcm-aes-128"})
	_, err := m.StartVault(vaultPoll)
	check(t, err, m.west.WriteConfig(lab.Port{Cipher: "gcm-aes-128", Priority: loses}))
	first := m.PutPair(old)
	m.secure(t, false)
	before := device(t, m.west)
	m.PutPair(next)
	ask(t, m.west)
	wait(t, "linkseal to have both keys", func(s status.Port) bool { return len(s.Participants) == 2 && lab.CKN(s) == old.CKN }, m.west)
	x := traffic(t, m.west, m.peer.Appliance, 20*time.Millisecond)
	flows(t, x, 20)
	calm := x.Count().Lost()
	m.peer.stop(t)
	m.key = next
	m.peer.write(t, peerConf{key: next, priority: wpaPriority})
	start := time.Now()
	m.peer.start(t)
	wait(t, "linkseal to follow to the new CKN", func(s status.Port) bool { return s.State == status.Secured && lab.CKN(s) == next.CKN }, m.west)
	took := time.Since(start)
	flows(t, x, 50)
	c := x.Stop()
	m.DisablePair(first)
	ask(t, m.west)
	wait(t, "the old key to be gone", func(s status.Port) bool { return lab.Settled(s, next.CKN) && len(s.Participants) == 1 }, m.west)
	if after := device(t, m.west); after != before {
		t.Errorf("the device was\n%s\nand is\n%s", before, after)
	}
	figure(t, "wpa_supplicant restarted with the vault's next key: linkseal follows %v after its start; %d datagrams lost at 20 ms, what its restart costs", took.Round(time.Millisecond), c.Lost()-calm)
}
