package keyvault

import (
	"context"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// Vault is the secrets of one keychain in one vault. *Client is one in this
// process, *Helper in a child process. Every error is a *Fault. All may be
// called at once; all end when ctx does.
type Vault interface {
	// Fetch lists all versions and gets the values that are wanted and that
	// r.Have does not name. The caller owns, and zeroes, the values.
	Fetch(ctx context.Context, r Request) (*Answer, error)
	// Write has a pair of this id in the vault: it writes both secrets, or
	// the one that is missing, reads both back and compares; a PSK is one. Called again
	// with the same id it ends with the same pair.
	Write(ctx context.Context, p Pair) (*Written, error)
	// Disable disables all versions of the pair of that id; that there are
	// none (any more) is no error.
	Disable(ctx context.Context, pair string) error
	// List gives the pairs of the vault, also those that are incomplete or
	// disabled, the newest first. It gets no value.
	List(ctx context.Context) ([]Listed, error)
}

// Config names a keychain's secrets in a vault, and the way there. Paths in it
// are absolute: the helper runs in /.
type Config struct {
	// URL of the vault, as https://contoso.vault.azure.net.
	URL string `json:"url"`
	// Endpoint is the IP address, with a port or without, to connect to for
	// the vault's host; empty: what DNS says.
	Endpoint string `json:"endpoint,omitempty"`
	// CA is a PEM file of certificates trusted beside the system's, by the
	// vault and the authority. Proxy is the URL of an HTTP proxy; empty: the
	// environment's.
	CA    string `json:"ca,omitempty"`
	Proxy string `json:"proxy,omitempty"`
	// CAK and CKN, or PSK, or Certificate, are names of secrets.
	CAK string `json:"cak,omitempty"`
	CKN string `json:"ckn,omitempty"`
	PSK string `json:"psk,omitempty"`
	// Certificate is the name of a certificate, which the vault serves as a
	// secret of that name.
	Certificate string     `json:"certificate,omitempty"`
	Credential  Credential `json:"credential"`
}

// The types of Credential.
const (
	ManagedIdentity   = "managed-identity"
	WorkloadIdentity  = "workload-identity"
	ClientCertificate = "client-certificate"
	ClientSecret      = "client-secret"
)

// Credential is how this appliance shows who it is. Empty ids are the
// environment's, AZURE_CLIENT_ID and AZURE_TENANT_ID, where the type takes
// them from there.
type Credential struct {
	Type     string `json:"type"`
	ClientID string `json:"client_id,omitempty"`
	TenantID string `json:"tenant_id,omitempty"`
	// File of the certificate with its key (PEM or PKCS#12), or of the
	// client secret; mode 0600.
	File string `json:"file,omitempty"`
}

// Kind is which secret a version is of.
type Kind string

// The kinds.
const (
	CAK Kind = "cak"
	CKN Kind = "ckn"
	PSK Kind = "psk"
	// Certificate is a certificate with its private key.
	Certificate Kind = "certificate"
)

// alone tells a kind of which one version is all of it: it is not of a pair.
func (k Kind) alone() bool { return k == PSK || k == Certificate }

// Ref names one version of one secret.
type Ref struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// Version is what the vault tells of a version without its value. Times are
// whole seconds, in UTC.
type Version struct {
	Ref
	Enabled bool `json:"enabled"`
	// Pair is the pair id; of a PSK or a certificate, its id. Empty: no tag.
	Pair    string    `json:"pair,omitempty"`
	Owner   string    `json:"owner,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// NotBefore and Expires are nbf and exp.
	NotBefore   time.Time `json:"not_before,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	Fallback    bool      `json:"fallback,omitempty"`
	ExpiresHard bool      `json:"expires_hard,omitempty"`
	// Wrong tells what of its tags cannot be read; empty: nothing.
	Wrong string `json:"wrong,omitempty"`
}

// Window is when the version's key may be used.
func (v *Version) Window() keychain.Window {
	return keychain.Window{NotBefore: v.NotBefore, Expires: v.Expires}
}

// Value is what a version holds, decoded. Octets is nil if Wrong says why it
// is no key, without any of it.
type Value struct {
	Ref
	Octets *secret.Key
	// Text tells that a PSK was written as text.
	Text  bool
	Wrong string
}

// Request is what a Fetch is to find.
type Request struct {
	// Have are versions whose values the caller has.
	Have []Ref `json:"have,omitempty"`
	// Now is the time by which pairs are over.
	Now time.Time `json:"now"`
}

// Answer is what a Fetch found.
type Answer struct {
	Versions []Version
	Values   []Value
	// Fault is the first of those that kept values back; nil: all that were
	// wanted are there. The versions are complete in any case.
	Fault *Fault
}

// Zero zeroes the values.
func (a *Answer) Zero() {
	if a == nil {
		return
	}
	for i := range a.Values {
		a.Values[i].Octets.Zero()
	}
}

// Pair is a key to be made and written: a CKN and a CAK, or a PSK, as the
// vault's secrets are.
type Pair struct {
	// ID is the pair id, or the PSK's: 1 to 64 letters, digits, dots, colons,
	// dashes and underscores.
	ID    string `json:"id"`
	Owner string `json:"owner,omitempty"` // at most 256 characters
	// Octets of the CAK and of the CKN: 16 or 32; of a PSK: 32.
	Octets int `json:"octets"`
	// Text has a PSK written as text, of letters and digits: what peers take
	// that know no other.
	Text bool `json:"text,omitempty"`
	// Window in whole seconds; fractions are cut off.
	NotBefore   time.Time `json:"not_before,omitzero"`
	Expires     time.Time `json:"expires,omitzero"`
	Fallback    bool      `json:"fallback,omitempty"`
	ExpiresHard bool      `json:"expires_hard,omitempty"`
}

// Written is a pair, or a PSK, that is in the vault.
type Written struct {
	CKN    keychain.CKN    `json:"ckn,omitempty"`
	Pinned keychain.Pinned `json:"pinned"`
	// Window is that of the versions; another than asked for if the pair was
	// there, or half of it.
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	// Found tells how many versions of it were there already.
	Found int `json:"found,omitempty"`
}

// Listed is a pair, or a PSK, as rotation sees it. What the versions do not agree on is
// that of the older one.
type Listed struct {
	ID          string           `json:"id"`
	Owner       string           `json:"owner,omitempty"`
	NotBefore   time.Time        `json:"not_before,omitzero"`
	Expires     time.Time        `json:"expires,omitzero"`
	Created     time.Time        `json:"created,omitzero"` // of the older version
	Fallback    bool             `json:"fallback,omitempty"`
	ExpiresHard bool             `json:"expires_hard,omitempty"`
	State       PairState        `json:"state"`
	Why         string           `json:"why,omitempty"`    // of a state other than complete and disabled
	Pinned      *keychain.Pinned `json:"pinned,omitempty"` // of a complete pair
}

// PairState is what of a pair is there and enabled.
type PairState string

const (
	// Complete is one enabled version of either secret.
	Complete PairState = "complete"
	// Half is one of the two, the other never written.
	Half PairState = "half"
	// HalfDisabled is one of the two, the other disabled.
	HalfDisabled PairState = "half_disabled"
	// Disabled is no enabled version.
	Disabled PairState = "disabled"
	// Mixed is more than one enabled version of a secret, or two that
	// contradict each other.
	Mixed PairState = "mixed"
)
