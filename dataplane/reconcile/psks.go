package reconcile

import (
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// usedBy are the names of the keychains that c's ports and tunnels use.
func usedBy(c *config.Config) map[string]bool {
	used := make(map[string]bool)
	for _, p := range c.Ports {
		used[p.Keychain] = true
	}
	for _, t := range c.Tunnels {
		for _, name := range t.Keychains() {
			used[name] = true
		}
	}
	return used
}

// tellPSKs logs which PSKs of a keychain are others than before; old is nil at
// the first.
func (r *Reconciler) tellPSKs(name string, old, new *keychain.Keychain) {
	for _, c := range keychain.DiffPSKs(old, new) {
		what := "PSK changed"
		switch {
		case c.Old == nil:
			what = "PSK added"
		case c.New == nil:
			what = "PSK removed"
		}
		r.log.Info(what, "keychain", name, "id", c.ID())
	}
}
