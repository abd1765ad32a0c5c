package status

import (
	"cmp"
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
	// Rotation is what there is to say of it; absent if nothing is.
	Rotation *Rotation `json:"rotation,omitempty"`
	// Rotations counts those since the daemon's start by result: done (the
	// traffic has moved), failed, refused (another appliance has the
	// keychain). Absent of a keychain that is not rotated.
	Rotations map[string]uint64 `json:"rotations,omitempty"`
	// Vault is the state of an azure-key-vault source; absent of another.
	Vault *Vault `json:"vault,omitempty"`
}

// Noun is what the keychain is made of: pairs of CKN and CAK, or PSKs.
func (k *Keychain) Noun() string {
	if len(k.Keys) > 0 && k.Keys[0].ID != "" {
		return "PSK"
	}
	return "pair"
}

// Given is nil, which is null in JSON, for the zero time.
func Given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Key is one key of a Keychain, without its octets.
type Key struct {
	CKN string `json:"ckn,omitempty"` // hex; of a CAK
	// ID is of a PSK, and Text that it was written as text; it has no
	// fingerprint then.
	ID        string     `json:"id,omitempty"`
	Text      bool       `json:"text,omitempty"`
	State     string     `json:"state"` // active, not_yet, expired
	NotBefore *time.Time `json:"not_before"`
	Expires   *time.Time `json:"expires"`
	// FirstSeen is when this appliance first had it: a key without not_before
	// starts then.
	FirstSeen   *time.Time `json:"first_seen,omitempty"`
	Fallback    bool       `json:"fallback"`
	Fingerprint string     `json:"fingerprint"`
	// Pair is the pair id, and the versions are those of the vault's secrets;
	// absent of a key from a file.
	Pair       string `json:"pair,omitempty"`
	CAKVersion string `json:"cak_version,omitempty"`
	CKNVersion string `json:"ckn_version,omitempty"`
	Version    string `json:"version,omitempty"` // of a PSK
}

// Name is what the key goes by: its CKN, or its id.
func (k *Key) Name() string { return cmp.Or(k.CKN, k.ID) }

// Rotation is that of a keychain: the one under way, and the next by schedule.
type Rotation struct {
	// Phase is the last that was reached, as in the events of rotate; empty:
	// none is under way.
	Phase string     `json:"phase,omitempty"`
	CKN   string     `json:"ckn,omitempty"` // the new one
	PSK   string     `json:"psk,omitempty"` // the id of the new one
	Since *time.Time `json:"since"`         // when it began
	// RetireAt is when the old pairs are retired.
	RetireAt *time.Time `json:"retire_at"`
	Next     *time.Time `json:"next"` // when the next pair is written
	// Error is what keeps the schedule: an alarm.
	Error string `json:"error,omitempty"`
}

// Vault is what there is to say of a vault beside its keys.
type Vault struct {
	// LastSuccess is when it was last read as a whole, and NextPoll when it
	// will be asked again; null: not yet.
	LastSuccess *time.Time `json:"last_success"`
	NextPoll    *time.Time `json:"next_poll"`
	// Faults are what is wrong with it now, the oldest first.
	Faults []Fault `json:"faults"`
	// Refused are pairs, PSKs and versions that are not used, each with its reason.
	Refused []string `json:"refused"`
	// Counters are polls, failures (polls that failed), and for each kind of
	// fault faults_KIND, which counts those that began.
	Counters map[string]uint64 `json:"counters"`
}

// Fault is something that is wrong with a vault, or on the way there.
type Fault struct {
	Kind  string    `json:"kind"` // unreachable, throttled, ...
	Text  string    `json:"text"` // as it was seen last
	Since time.Time `json:"since"`
	Polls uint64    `json:"polls"` // that saw it
}

func (k *Keychain) fill() {
	if k.Keys == nil {
		k.Keys = []Key{}
	}
	if v := k.Vault; v != nil {
		if v.Faults == nil {
			v.Faults = []Fault{}
		}
		if v.Refused == nil {
			v.Refused = []string{}
		}
	}
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
		text := e.Name() + ", " + strings.ReplaceAll(e.State, "_", " ")
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
	if r := k.Rotation; r != nil {
		if r.Phase != "" {
			text := fmt.Sprintf("%s, CKN %s", strings.ReplaceAll(r.Phase, "_", " "), r.CKN)
			if r.PSK != "" {
				text = fmt.Sprintf("%s, PSK %s", strings.ReplaceAll(r.Phase, "_", " "), r.PSK)
			}
			if r.RetireAt != nil {
				text += ", the old " + k.Noun() + "s are retired at " + r.RetireAt.UTC().Format(time.RFC3339)
			}
			line("rotation", "%s", text)
		}
		if r.Next != nil {
			line("next "+k.Noun(), "%s", r.Next.UTC().Format(time.RFC3339))
		}
		if r.Error != "" {
			line("no rotation", "%s", r.Error)
		}
	}
	if v := k.Vault; v != nil {
		if v.LastSuccess != nil {
			line("read", "%s ago", Age(now.Sub(*v.LastSuccess)))
		}
		for _, f := range v.Faults {
			line("fault", "%s for %s: %s", strings.ReplaceAll(f.Kind, "_", " "), Age(now.Sub(f.Since)), f.Text)
		}
		for _, r := range v.Refused {
			line("refused", "%s", r)
		}
	}
	t.Flush()
}
