// Package vault tells how a source of keys in an Azure Key Vault stands, in the
// words of the status. It is apart from package status, so that what reads a
// status does not carry the vault's client.
package vault

import (
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
)

// Of is what the status has of r. Of every kind of fault there is a counter,
// also of those that never began.
func Of(r keyvault.Report) *status.Vault {
	v := &status.Vault{LastSuccess: status.Given(r.LastSuccess), NextPoll: status.Given(r.Next), Refused: []string{}, Counters: map[string]uint64{"polls": r.Polls, "failures": r.Failures}}
	for _, f := range r.Faults {
		v.Faults = append(v.Faults, status.Fault{Kind: string(f.Kind), Text: f.Text, Since: f.Since, Polls: f.Polls})
	}
	for _, kind := range keyvault.Kinds() {
		v.Counters["faults_"+string(kind)] = r.Begun[kind]
	}
	for _, f := range r.Refused {
		v.Refused = append(v.Refused, Refused(f))
	}
	return v
}

// Refused names a pair, a PSK or a version that is not used, and says why.
func Refused(r keyvault.Refused) string {
	name := "version " + r.Version
	switch {
	case r.Pair != "":
		name = "pair " + r.Pair
	case r.PSK != "":
		name = "PSK " + r.PSK
	}
	return name + ": " + r.Why
}
