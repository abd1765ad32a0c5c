package reconcile

import (
	"slices"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
)

// Reporting is a Source that has more to tell than its keys.
type Reporting interface {
	// Report fills in k.Vault. It is called from any goroutine.
	Report(k *status.Keychain)
}

// keychainView is a keychain as the last pass left it, for Status: a copy
// without keys.
type keychainView struct {
	status.Keychain
	source Source
}

// Poll has the source of a keychain look soon, if it is one that polls. It may
// be called from any goroutine.
func (r *Reconciler) Poll(keychain string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range r.keychains {
		if p, ok := v.source.(interface{ Poll() }); ok && v.Name == keychain {
			p.Poll()
		}
	}
}

func (n *ring) view() keychainView {
	v := keychainView{source: n.source, Keychain: status.Keychain{Name: n.cfg.Name, Source: n.cfg.Source, From: n.cfg.Path, Sealed: n.sealed}}
	if n.cfg.Source == config.SourceVault {
		v.From = n.cfg.Vault.URL
	}
	if n.err != nil {
		v.Error = n.err.Error()
	}
	for _, c := range n.selection.All {
		state, _ := c.State.MarshalText() // never fails
		v.Keys = append(v.Keys, status.Key{CKN: c.CKN.String(), State: string(state), NotBefore: status.Given(c.NotBefore), Expires: status.Given(c.Expires),
			FirstSeen: status.Given(c.FirstSeen), Fallback: c.Fallback, Fingerprint: c.CAK.Fingerprint(), Pair: c.Pinned.Pair, CAKVersion: c.Pinned.CAK, CKNVersion: c.Pinned.CKN})
	}
	for _, c := range n.psks.All {
		state, _ := c.State.MarshalText() // never fails
		v.Keys = append(v.Keys, status.Key{ID: c.ID, Text: c.Text, State: string(state), NotBefore: status.Given(c.NotBefore), Expires: status.Given(c.Expires),
			FirstSeen: status.Given(c.FirstSeen), Fallback: c.Fallback, Fingerprint: c.Fingerprint(), Version: c.Version})
	}
	return v
}

func (v keychainView) report() status.Keychain {
	k := v.Keychain
	k.Keys = slices.Clone(k.Keys)
	if s, ok := v.source.(Reporting); ok {
		s.Report(&k)
	}
	return k
}
