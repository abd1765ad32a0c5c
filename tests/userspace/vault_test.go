package userspace

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/azure"
	"github.com/linkseal/linkseal/tests/lab"
)

// vaulted is a pair whose keys are in a vault.
type vaulted struct {
	*pair
	cloud *azure.Cloud
	last  lab.VaultPair
}

func newVaulted(t *testing.T, p lab.Port) *vaulted {
	t.Helper()
	l := newLab(t, lab.Options{Names: []string{"west", "east"}, Bridge: true})
	cloud, err := l.StartVault("2s")
	check(t, err)
	v := &vaulted{pair: &pair{Lab: l, west: l.Appliances[0], east: l.Appliances[1]}, cloud: cloud}
	check(t, v.configure(p))
	v.put(t)
	return v
}

// put puts a fresh pair into the vault.
func (v *vaulted) put(t *testing.T) {
	t.Helper()
	var err error
	v.key, err = lab.RandomKey(rand.Reader, 32, 32)
	check(t, err)
	v.last = v.PutPair(v.key)
}

// keychain asks an appliance for its keychain.
func keychain(t *testing.T, a *lab.Appliance) status.Keychain {
	t.Helper()
	s := whole(t, a)
	if len(s.Keychains) != 1 || s.Keychains[0].Vault == nil {
		t.Fatalf("%s: keychains %+v", a.Name, s.Keychains)
	}
	return s.Keychains[0]
}

// faulty waits until both ends have seen a fault of their vault in so many
// polls, or, for 0, none any more.
func (v *vaulted) faulty(t *testing.T, polls uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("a fault in %d polls", polls), func() bool {
		for _, a := range v.both() {
			f := keychain(t, a).Vault.Faults
			if polls == 0 && len(f) > 0 || polls > 0 && (len(f) == 0 || f[0].Polls < polls) {
				return false
			}
		}
		return true
	})
}

// Pairs out of the vault take each other's place under datagrams: the new one is
// put, and the old one disabled when it carries nothing, or at once. A rollover
// counts when both ends encode under the new CKN and nothing of the old is left.
// Between two, the SAK is rekeyed by its age.
func TestVaultRotation(t *testing.T) {
	const rate = 5000
	v := newVaulted(t, lab.Port{Cipher: "gcm-aes-xpn-256", MKA: "hello: 1s, life: 6s, rekey: 6s"})
	unwatched := sealed(t, v.pair)
	v.start(t)
	udp := sendDatagrams(t, inside(v.west), inside(v.east), rate)
	udp.flow(t, rate/5)
	first := udp.now()
	saks := map[string]int{}
	rollovers := times(100, 2)
	for range rollovers {
		old := v.last
		v.put(t)
		wait(t, "both to encode under the new CKN", func(s status.Port) bool {
			if s.State != status.Secured || s.Tx == nil {
				t.Fatalf("%s %s", s.State, s.UnsecuredReason)
			}
			return lab.CKN(s) == v.key.CKN
		}, v.both()...)
		v.DisablePair(old)
		wait(t, "the old pair to be gone", func(s status.Port) bool { return lab.Settled(s, v.key.CKN) && len(s.Participants) == 1 }, v.both()...)
		// And the next SAK under it.
		was := v.settled(t)[0].Tx.Key
		now := wait(t, "a rekey", func(s status.Port) bool { return lab.Settled(s, v.key.CKN) && s.Tx.Key != was }, v.both()...)
		saks[now[0].Tx.Key]++
	}
	udp.end()
	c := udp.count(first, patience)
	if c.lost+c.twice+c.wrong > 0 {
		t.Errorf("%v", c)
	}
	unwatched()
	figure(t, "%d CAK rollovers and %d SAK rekeys out of a vault under %.0f datagrams a second: %d of %d lost; nothing in clear", rollovers, len(saks), udp.rate(first), c.lost, c.sent)
}

// Whatever the vault does, the link stays secured and passes everything; it is
// told once; and what the vault has meanwhile is taken when it is well again.
func TestVaultFaults(t *testing.T) {
	v := newVaulted(t, lab.Port{MKA: steady})
	v.start(t)
	udp := sendDatagrams(t, inside(v.west), inside(v.east), 200)
	udp.flow(t, 20)
	first := udp.now()
	inject := func(op azure.Op, secret string, e azure.Effect) func() (end func()) {
		return func() func() { return v.cloud.Inject(azure.Fault{Op: op, Secret: secret, Effect: e}) }
	}
	cases := []struct {
		name, kind string
		begin      func() (end func())
	}{
		{"outage", "unreachable", func() func() {
			check(t, v.cloud.Refuse(true))
			return func() { check(t, v.cloud.Refuse(false)) }
		}},
		{"server error", "server_error", inject(azure.OpVersions, "", azure.Status(http.StatusServiceUnavailable, 0))},
		{"forbidden", "forbidden", inject(azure.AnyVault, "", azure.Status(http.StatusForbidden, 0))},
		{"garbage", "malformed", inject(azure.OpVersions, lab.CAKSecret, azure.Garbage())},
		{"reset", "unreachable", inject(azure.AnyVault, "", azure.Reset())},
		{"all versions hidden", "lying", inject(azure.OpVersions, "", azure.Omit())},
		{"another pair's tag", "lying", inject(azure.OpVersions, lab.CKNSecret, azure.Retag(map[string]string{"linkseal-pair": "other"}))},
	}
	if !soak() { // a fault takes some polls: keymgmt/keyvault has all of them, in time of its own
		cases = append(cases[:1], cases[len(cases)-1])
	}
	for _, c := range cases {
		end := c.begin()
		v.faulty(t, 2)
		kinds := map[string]bool{}
		for _, f := range keychain(t, v.west).Vault.Faults {
			kinds[f.Kind] = true
		}
		if !kinds[c.kind] {
			t.Errorf("%s: faults %v, want %s", c.name, kinds, c.kind)
		}
		end()
		v.faulty(t, 0)
	}
	old := v.last
	v.put(t)
	v.settled(t)
	v.DisablePair(old)
	udp.end()
	n := udp.count(first, patience)
	if n.lost+n.twice+n.wrong > 0 {
		t.Errorf("%v", n)
	}
	for _, a := range v.both() {
		log := a.Log()
		for _, c := range cases {
			if !strings.Contains(log, c.kind) {
				t.Errorf("%s: the log has nothing of %s", a.Name, c.name)
			}
		}
		if strings.Contains(log, "became unsecured") || strings.Count(log, "level=WARN")+strings.Count(log, "level=ERROR") > 3*len(cases) {
			t.Errorf("%s: more than its faults in the log", a.Name)
		}
	}
	figure(t, "%d faults of a vault, two polls and more each: %d of %d datagrams lost, secured throughout", len(cases), n.lost, n.sent)
}

// Both ends start where no vault is in reach: secured from what they sealed.
func TestVaultBoot(t *testing.T) {
	v := newVaulted(t, lab.Port{})
	v.start(t)
	eventually(t, "both to have sealed their keys", func() bool {
		for _, a := range v.both() {
			if _, errs, exit, err := a.Verb(t.Context(), "status", "--json", "--socket", a.Socket()); err != nil || exit != 0 {
				t.Fatal(errs, err)
			}
			if !a.Sealed() {
				return false
			}
		}
		return true
	})
	for _, a := range v.both() {
		check(t, a.Kill())
	}
	check(t, v.cloud.Refuse(true))
	check(t, v.west.Start())
	wait(t, "west to wait for its peer", func(s status.Port) bool { return len(s.Participants) == 1 }, v.west)
	began := time.Now()
	check(t, v.east.Start())
	v.settled(t)
	took := time.Since(began)
	for _, a := range v.both() {
		if k := keychain(t, a); !k.Sealed || len(k.Keys) != 1 || k.Keys[0].Pair != "p1" || k.Keys[0].CAKVersion != v.last.CAK {
			t.Errorf("%s: %+v", a.Name, k)
		}
	}
	figure(t, "booted with the vault unreachable: secured from sealed keys %v after the peer's daemon was started", took.Round(time.Millisecond))
	if most := times(time.Second, 5*time.Second); took > most {
		t.Errorf("secured only after %v", took)
	}
}
