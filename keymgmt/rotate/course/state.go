package course

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// The causes of a rotation.
const (
	Asked     = "asked"    // by somebody
	Scheduled = "schedule" // by the daemon itself
)

// version of State's JSON.
const version = 1

// State is the journal of a rotation: all that must be known to go on with it
// after a restart. It has no secret.
type State struct {
	Version  int    `json:"version"`
	Keychain string `json:"keychain"`
	// Store is where the pairs are: another's journal is not gone on with. Empty
	// in a journal from before it was noted.
	Store string        `json:"store"`
	Cause string        `json:"cause"`
	Order Order         `json:"order"`
	Hold  time.Duration `json:"hold_ns"`
	// Sweep retires every older pair; else only those that carried traffic
	// when the rotation began.
	Sweep bool         `json:"sweep"`
	CKN   keychain.CKN `json:"ckn,omitempty"`

	Reached Phase               `json:"reached"`
	Started time.Time           `json:"started"`
	Times   map[Phase]time.Time `json:"times"`
	// Since is when the last port settled; zero while one has not.
	Since time.Time `json:"since,omitzero"`
	// Ports that have settled.
	Ports []string `json:"ports,omitempty"`
	// Old pairs, to be retired, and whether that has begun.
	Old      []string `json:"old,omitempty"`
	Retiring bool     `json:"retiring,omitempty"`
	// GivesWay is why the pair is to be taken back: it was not whole when
	// another owner turned up.
	GivesWay string `json:"gives_way,omitempty"`

	Lost map[string]uint64 `json:"lost"`
	// Counted is by port, or a tunnel's interface, and counter, as last read.
	Counted map[string]map[string]uint64 `json:"counted,omitempty"`

	// Outcome is done or failed; empty while traffic has yet to move.
	Outcome Phase  `json:"outcome,omitempty"`
	Error   string `json:"error,omitempty"`
	// Owned tells that it failed because the keychain is another's.
	Owned bool `json:"owned,omitempty"`
}

// Ended tells that nothing is left to be done.
func (s *State) Ended() bool { return s.Outcome == Failed || s.Outcome == Done && s.Reached == Retired }

// PSK is the id of the new PSK; empty of a pair.
func (s *State) PSK() string {
	if s.Order.PSK {
		return s.Order.ID
	}
	return ""
}

// Written tells that the new key is in its store.
func (s *State) Written() bool { return !s.Reached.before(Written) }

// RetireAt is when the old pairs are retired if all stays as it is; zero if
// that is not known.
func (s *State) RetireAt() time.Time {
	if s.Since.IsZero() {
		return time.Time{}
	}
	return s.Since.Add(s.Hold)
}

// Adopt has a state that names no store be of store: keychain and owner alone
// tell whose it is.
func (s *State) Adopt(store string) {
	if s.Store == "" {
		s.Store = store
	}
}

// Foreign says why the state is not that of a rotation of keychain in store by
// owner; empty if it is.
func (s *State) Foreign(keychain, store, owner string) string {
	for _, f := range []struct{ what, has, want string }{
		{"of keychain", s.Keychain, keychain}, {"of keys in", s.Store, store}, {"of the owner", s.Order.Owner, owner},
	} {
		if f.has != f.want {
			return fmt.Sprintf("it is %s %q, not %q", f.what, f.has, f.want)
		}
	}
	return ""
}

// Encode is the state in JSON.
func (s *State) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// Decode is the inverse of Encode.
func Decode(b []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("malformed: %w", err)
	}
	switch {
	case s.Version != version:
		return nil, fmt.Errorf("version %d; accepted: %d", s.Version, version)
	case s.Reached != None && s.Reached.before(Claimed):
		return nil, fmt.Errorf("phase %q is unknown", s.Reached)
	case s.Outcome != "" && s.Outcome != Done && s.Outcome != Failed:
		return nil, fmt.Errorf("outcome %q is unknown", s.Outcome)
	case !s.Ended() && (len(s.Order.ID) != idDigits || s.Order.Octets != 16 && s.Order.Octets != 32):
		return nil, fmt.Errorf("no pair is named in it")
	}
	if s.Times == nil {
		s.Times = map[Phase]time.Time{}
	}
	if s.Lost == nil {
		s.Lost = noLoss(s.Order.PSK)
	}
	if s.Counted == nil {
		s.Counted = map[string]map[string]uint64{}
	}
	return &s, nil
}

// idDigits is the length of an Order's ID.
const idDigits = 32

// losses are the counters of what is lost.
func losses(psk bool) []string {
	if psk {
		return TunnelLosses
	}
	return Losses
}

func noLoss(psk bool) map[string]uint64 {
	m := make(map[string]uint64)
	for _, name := range losses(psk) {
		m[name] = 0
	}
	return m
}

// count adds what the counters of the ports, or of the tunnels' interfaces, have
// grown by.
func (s *State) count(ports []Port) {
	for i := range ports {
		p := &ports[i]
		if !s.Order.PSK {
			s.countOne(p.Name, p.Counters)
			continue
		}
		for name, counters := range p.Interfaces {
			s.countOne(name, counters)
		}
	}
}

// countOne counts what is called name. A counter that has fallen began anew.
func (s *State) countOne(where string, counters map[string]uint64) {
	last := s.Counted[where]
	now := make(map[string]uint64)
	for _, name := range losses(s.Order.PSK) {
		n, ok := counters[name]
		was, had := last[name]
		switch {
		case !ok: // the port has no SecY just now
			if had {
				now[name] = was
			}
			continue
		case had && n >= was:
			s.Lost[name] += n - was
		case had:
			s.Lost[name] += n
		}
		now[name] = n
	}
	s.Counted[where] = now
}

// Sum is how much was lost in all.
func Sum(lost map[string]uint64) (n uint64) {
	for _, m := range lost {
		n += m
	}
	return n
}
