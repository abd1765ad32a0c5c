package status

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Keychain is a source of keys, and what it holds.
type Keychain struct {
	Name   string `json:"name"`
	Source string `json:"source"` // file or azure-key-vault
	From   string `json:"from"`   // the file's path or the vault's URL
	// Sealed is true while its keys are those that were sealed, since the
	// source has not been read since the start.
	Sealed bool `json:"sealed"`
	// Error is why the source could not be used at the last try. The keys
	// before it go on.
	Error string `json:"error,omitempty"`
	Keys  []Key  `json:"keys"`
	// Vault is the state of an azure-key-vault source; absent of another.
	Vault *Vault `json:"vault,omitempty"`
}

// Key is one key of a Keychain, without its octets.
type Key struct {
	CKN         string     `json:"ckn"`   // hex
	State       string     `json:"state"` // active, not_yet, expired
	NotBefore   *time.Time `json:"not_before"`
	Expires     *time.Time `json:"expires"`
	Fallback    bool       `json:"fallback"`
	Fingerprint string     `json:"fingerprint"`
	// Pair is the pair id, and the versions are those of the vault's secrets;
	// absent of a key from a file.
	Pair       string `json:"pair,omitempty"`
	CAKVersion string `json:"cak_version,omitempty"`
	CKNVersion string `json:"ckn_version,omitempty"`
}

// Vault is what there is to say of a vault beside its keys.
type Vault struct {
	// LastSuccess is when it was last read as a whole; null: not yet.
	LastSuccess *time.Time `json:"last_success"`
	// Fault is the kind of what is wrong since FaultSince; empty: nothing.
	Fault      string     `json:"fault,omitempty"`
	FaultText  string     `json:"fault_text,omitempty"`
	FaultSince *time.Time `json:"fault_since"`
	// Refused are pairs and versions that are not used, each with its reason.
	Refused  []string          `json:"refused"`
	Counters map[string]uint64 `json:"counters"`
}

func (k Keychain) write(b *strings.Builder, now time.Time) {
	fmt.Fprintf(b, "keychain %s: %s %s\n", k.Name, k.Source, k.From)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	if k.Sealed {
		line("sealed", "its keys are those that were sealed; the source has not been read since the start")
	}
	if k.Error != "" {
		line("error", "%s", k.Error)
	}
	for _, e := range k.Keys {
		text := e.CKN + ", " + strings.ReplaceAll(e.State, "_", " ")
		if e.NotBefore != nil {
			text += ", from " + e.NotBefore.UTC().Format(time.RFC3339)
		}
		if e.Expires != nil {
			text += ", until " + e.Expires.UTC().Format(time.RFC3339)
		}
		if e.Fallback {
			text += ", fallback"
		}
		if e.Pair != "" {
			text += ", pair " + e.Pair
		}
		line("key", "%s", text)
	}
	if v := k.Vault; v != nil {
		if v.LastSuccess != nil {
			line("read", "%s ago", age(now.Sub(*v.LastSuccess)))
		}
		if v.Fault != "" {
			text := v.Fault + ": " + v.FaultText
			if v.FaultSince != nil {
				text += ", for " + age(now.Sub(*v.FaultSince))
			}
			line("fault", "%s", text)
		}
		for _, r := range v.Refused {
			line("refused", "%s", r)
		}
	}
	t.Flush()
}
