// Package keychain has CAKs under their names and pure selection among them
// by time. It reads no clock and no file: sources of keychains (a file, a
// vault) fill it, and the KaY asks it which CKNs have a participant now.
//
// Whether a key that has expired, or that is no longer in its source, may be
// let go is not decided here: a key whose SAK carries traffic is held by the
// KaY until another CKN carries it. Select gives every key's state so that
// the KaY can.
package keychain

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/secret"
)

// ErrPending says that a source has not been read yet, and is being read.
var ErrPending = errors.New("not read yet")

// MaxCKN is the longest CKN in octets (802.1X-2020 9.3.1).
const MaxCKN = 32

// MaxCertificate is the longest certificate with its private key and issuers, in
// octets of PEM. A vault's secret has at most 25 KB.
const MaxCertificate = 32 << 10

// CKN is a Connectivity Association Key Name: 1 to 32 octets as they are, not
// hex. It compares with == and is a map key; []byte(ckn) is its octets.
type CKN string

// ParseCKN reads 2 to 64 hex digits, an even number of them.
func ParseCKN(text string) (CKN, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) == 0 || len(b) > MaxCKN {
		return "", fmt.Errorf("CKN %q is not 1 to %d octets in hex; accepted: 2 to %d hex digits, an even number", text, MaxCKN, 2*MaxCKN)
	}
	return CKN(b), nil
}

// String is lower-case hex.
func (c CKN) String() string { return hex.EncodeToString([]byte(c)) }

// MarshalText is lower-case hex, which JSON uses.
func (c CKN) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (c *CKN) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCKN(string(text))
	return err
}

// Origin is where a key was written, for messages. Line and Column count from
// 1; a Line of 0 is a source without lines.
type Origin struct {
	File         string
	Line, Column int
}

// Pinned names the versions of a vault's secrets that a key is made of; empty
// for a key of another source. Pair is the id that both carry.
type Pinned struct {
	Pair     string // of a PSK, its id
	CAK, CKN string // version ids
	PSK      string // version id; of what was written, not of a Key
}

// Window is when a key may be used: from NotBefore on, up to but without
// Expires. A zero time is an open end.
type Window struct {
	NotBefore, Expires time.Time
}

// State places now in the window.
func (w Window) State(now time.Time) State {
	switch {
	case !w.NotBefore.IsZero() && now.Before(w.NotBefore):
		return NotYet
	case !w.Expires.IsZero() && !now.Before(w.Expires):
		return Expired
	}
	return Active
}

// State is a key's place in time.
type State uint8

const (
	// Active is inside the window: the key has a participant.
	Active State = iota
	// NotYet is before not_before.
	NotYet
	// Expired is at expires or after.
	Expired
)

func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case NotYet:
		return "not yet"
	case Expired:
		return "expired"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText is the state in snake_case.
func (s State) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(s.String(), " ", "_")), nil
}

// UnmarshalText is the inverse of MarshalText.
func (s *State) UnmarshalText(text []byte) error {
	for _, of := range []State{Active, NotYet, Expired} {
		if name, _ := of.MarshalText(); string(name) == string(text) {
			*s = of
			return nil
		}
	}
	return fmt.Errorf("state %q of a key; accepted: active, not_yet, expired", text)
}

// Key is one CAK with its name and when it may be used.
type Key struct {
	CKN CKN
	// CAK is 16 or 32 octets. Copies of a Key share it.
	CAK *secret.Key
	Window
	// ExpiresHard cuts at Expires even while the key carries traffic.
	ExpiresHard bool
	// Fallback makes the key preferred last.
	Fallback bool
	// FirstSeen stands in for an absent NotBefore in the order of
	// preference. A source leaves it zero; Seen fills it.
	FirstSeen time.Time
	Origin    Origin
	Pinned    Pinned
}

// Outline is what of a key may be told: not its octets, but how many.
type Outline struct {
	CKN    CKN
	Octets int
	Origin Origin
}

// start is what "the newest started" goes by.
func (k *Key) start() time.Time {
	if !k.NotBefore.IsZero() {
		return k.NotBefore
	}
	return k.FirstSeen
}

// Prefer orders keys, the preferred one first: no fallback before a fallback,
// the latest start first, of equal starts the greater CKN.
func Prefer(a, b *Key) int {
	if a.Fallback != b.Fallback {
		if b.Fallback {
			return -1
		}
		return 1
	}
	if c := b.start().Compare(a.start()); c != 0 {
		return c
	}
	return bytes.Compare([]byte(b.CKN), []byte(a.CKN))
}

// PSK is a pre-shared key of a tunnel, or what has the place of one. Text tells that the octets were
// written as text (psk_text).
type PSK struct {
	ID     string
	Secret *secret.Key
	Text   bool
	// Certificate tells that Secret is a certificate with its private key, PEM:
	// CERTIFICATE of the end, those of its issuers as far as they are there, and
	// PRIVATE KEY (PKCS#8).
	Certificate bool
	Window
	ExpiresHard, Fallback bool
	FirstSeen             time.Time
	Origin                Origin
	// Version of the vault's secret; empty from another source.
	Version string
}

// Keychain is what one source holds at one moment: Keys for MACsec ports or
// PSKs for tunnels, never both. CKNs and IDs are unique.
type Keychain struct {
	Keys []Key
	PSKs []PSK
}

// Find returns the key named ckn, nil if there is none.
func (c *Keychain) Find(ckn CKN) *Key {
	for i := range c.Keys {
		if c.Keys[i].CKN == ckn {
			return &c.Keys[i]
		}
	}
	return nil
}

// Len is the number of keys, PSKs included.
func (c *Keychain) Len() int { return len(c.Keys) + len(c.PSKs) }

// Zero zeroes all secrets. The keychain is not used afterwards.
func (c *Keychain) Zero() {
	if c == nil {
		return
	}
	for i := range c.Keys {
		c.Keys[i].CAK.Zero()
	}
	for i := range c.PSKs {
		c.PSKs[i].Secret.Zero()
	}
}

// Sorted returns the keys in order of preference, whatever their window.
func (c *Keychain) Sorted() []*Key {
	keys := make([]*Key, len(c.Keys))
	for i := range c.Keys {
		keys[i] = &c.Keys[i]
	}
	slices.SortFunc(keys, Prefer)
	return keys
}
