package reconcile

import (
	"bytes"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const tunnels = `tunnels:
  - {name: hub1, type: wireguard, device: eth2, interface: wg1, local: 10.0.0.4, remote: 10.0.0.5, protect: [10.20.0.0/16],
     wireguard: {peer_public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", keychain: k2}}
`

// psks makes a loader of a keychain with PSKs of these ids, each starting an
// hour after the one before it, the first now.
func psks(from time.Time, ids ...string) func() (*keychain.Keychain, error) {
	return func() (*keychain.Keychain, error) {
		c := &keychain.Keychain{}
		for i, id := range ids {
			c.PSKs = append(c.PSKs, keychain.PSK{ID: id, Secret: secret.New(bytes.Repeat([]byte(id[:1]), 32)), Version: "v" + id,
				Window: keychain.Window{NotBefore: from.Add(time.Duration(i) * time.Hour)}})
		}
		return c, nil
	}
}

// keyStates are the PSKs of k2 as the status has them.
func (w *world) keyStates() (all []string) {
	for _, k := range w.r.Status().Keychains {
		for _, key := range k.Keys {
			if key.ID != "" {
				all = append(all, key.ID+" "+key.State)
			}
		}
	}
	return all
}

// A tunnel's keychain is followed as a port's is: chosen by time, sealed, used
// when its source is away at the start, and another's keys do not get in.
func TestPSKsAreKept(t *testing.T) {
	const k2Kept = "k2 file /k2"
	var sealed Kept
	runWith(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+tunnels, func(w *world) {
		w.sources["k2"].load = psks(time.Now(), "a", "b")
	}, func(w *world) {
		w.want("states", []string{"b not_yet", "a active"}, w.keyStates())
		w.logged(`PSK added" keychain=k2 id=a`)
		time.Sleep(time.Hour)
		w.settle()
		w.want("states an hour later", []string{"b active", "a active"}, w.keyStates())
		key := w.r.Status().Keychains[1].Keys[0]
		if key.Version != "vb" || key.Fingerprint == "" || key.CKN != "" {
			w.t.Errorf("%+v", key)
		}
		w.sources["k2"].set(keys(32, 0x22), true)
		w.settle()
		w.want("after CAKs came", []string{"b active", "a active"}, w.keyStates())
		w.logged("keychain k2 has CAKs of ports, no PSK")
		w.sources["k2"].set(psks(time.Now(), "b", "c"), true)
		w.settle()
		w.logged(`PSK removed" keychain=k2 id=a`)
		w.logged(`PSK changed" keychain=k2 id=b`)
		sealed = w.keeper.clone(w.keeper.kept)
		if c := sealed.Keychains[k2Kept]; c == nil || len(c.PSKs) != 2 || c.FindPSK("c") == nil || c.FindPSK("b").Version != "vb" {
			w.t.Errorf("sealed: %+v", sealed.Keychains)
		}
	})
	runWith(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+tunnels, func(w *world) {
		w.keeper.kept = sealed
		w.sources["k2"].load = failing("no route to the vault")
		w.clock = func() (time.Time, bool) { return sealed.Time, true }
	}, func(w *world) {
		w.want("sealed PSKs", []string{"c not_yet", "b active"}, w.keyStates())
		w.logged("its sealed keys are used")
		if k := w.r.Status().Keychains[1]; !k.Sealed || k.Error == "" {
			w.t.Errorf("%+v", k)
		}
		w.sources["k2"].set(psks(sealed.Time, "d"), true)
		w.settle()
		w.want("the source's", []string{"d active"}, w.keyStates())
		// No tunnel uses it any more: it is not read, and not reported.
		w.reload(portLine("a", "eth1", ""))
		w.want("without the tunnel", []string(nil), w.keyStates())
		w.sources["k2"].set(psks(sealed.Time, "e"), false)
		w.sources["k2"].set(keys(32, 0x22), false)
		w.reload(portLine("a", "eth1", "") + tunnels)
		w.logged("the configuration is refused; what runs goes on")
		w.want("with CAKs for a tunnel", []string(nil), w.keyStates())
	})
}
