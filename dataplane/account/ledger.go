package account

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Keep is how many accounts of keys that ended a Ledger has, the newest.
const Keep = 1000

// Ledger is a port's accounts.
type Ledger struct {
	Current []Account // in the order in which they began
	Ended   []Account // in the order in which it was found, whatever the clock says
	Counted time.Time // when Current was counted last
}

// Update takes the accounts as they were counted at now. seen has all that are
// current and those that ended since; it may have some again. What was current
// and is not in seen was cut. ckn names keys by key identifier, so far as it is
// known; who has a name keeps it. It reports whether a key ended.
func (l *Ledger) Update(seen []Account, ckn map[string]string, now time.Time) (ended bool) {
	before := make(map[id]*Account)
	for i := range l.Current {
		before[l.Current[i].id()] = &l.Current[i]
	}
	var current []Account
	for _, a := range seen {
		old := before[a.id()]
		delete(before, a.id())
		a.CKN = ckn[a.Key]
		if old != nil {
			a.keep(old)
		}
		if a.To == nil {
			current = append(current, a)
			continue
		}
		ended = l.end(a) || ended
	}
	for i := range l.Current {
		a := l.Current[i]
		if before[a.id()] == nil {
			continue
		}
		at := l.Counted
		if at.Before(a.From) { // the clock was set back
			at = a.From
		}
		a.To, a.Cut = &at, true
		ended = l.end(a) || ended
	}
	l.Current, l.Counted = current, now
	return ended
}

// end adds an account of a key that ended; false if it is there as it is.
func (l *Ledger) end(a Account) bool {
	for i := range l.Ended {
		old := &l.Ended[i]
		if old.id() != a.id() {
			continue
		}
		a.keep(old)
		if old.Says(&a) && old.CKN == a.CKN {
			return false
		}
		*old = a
		return true
	}
	l.Ended = append(l.Ended, a)
	if n := len(l.Ended) - Keep; n > 0 {
		l.Ended = slices.Delete(l.Ended, 0, n)
	}
	return true
}

// Says tells whether both are of one key that ended, with the same counts. LastSeen,
// which may be a jiffy off, and what is no count do not matter.
func (a *Account) Says(b *Account) bool {
	if a.id() != b.id() || a.To == nil || b.To == nil || !a.To.Equal(*b.To) {
		return false
	}
	x, y := *a, *b
	x.From, x.To, x.LastSeen = y.From, y.To, y.LastSeen
	x.CKN, x.Cut, x.OpenSince, x.Open = y.CKN, y.Cut, y.OpenSince, y.Open
	return x == y
}

// Newest are the accounts of the current keys, then those of at most n that
// ended, the newest first.
func (l *Ledger) Newest(n int) []Account {
	all := slices.Clone(l.Current)
	for i := len(l.Ended) - 1; i >= max(0, len(l.Ended)-n); i-- {
		all = append(all, l.Ended[i])
	}
	return all
}

// record is what the state directory has: the accounts of keys that ended in
// one file, those of current ones in another.
type record struct {
	Version  int       `json:"version"`
	Counted  time.Time `json:"counted"`
	Accounts []Account `json:"accounts"`
}

// EncodeCurrent is what is to be kept of current keys, EncodeEnded of the
// others.
func (l *Ledger) EncodeCurrent() ([]byte, error) {
	return json.Marshal(record{1, l.Counted, l.Current})
}

// EncodeEnded is EncodeCurrent for keys that ended.
func (l *Ledger) EncodeEnded() ([]byte, error) { return json.Marshal(record{1, l.Counted, l.Ended}) }

// Decode reads what both have made; nil is of an appliance that has none yet.
// What is wrong with either leaves the other.
func Decode(current, ended []byte) (l Ledger, err error) {
	e, errEnded := decode("ended", ended)
	for _, a := range e.Accounts {
		if a.To != nil {
			l.end(a)
		}
	}
	c, errCurrent := decode("current", current)
	if errCurrent != nil {
		return l, errCurrent
	}
	l.Current, l.Counted = c.Accounts, c.Counted
	// A process may have died between writing the one and the other.
	l.Current = slices.DeleteFunc(l.Current, func(a Account) bool {
		return a.To != nil || slices.ContainsFunc(l.Ended, func(b Account) bool { return a.id() == b.id() })
	})
	return l, errEnded
}

func decode(what string, b []byte) (r record, err error) {
	if b == nil {
		return r, nil
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("accounts of %s keys: %w", what, err)
	}
	if r.Version != 1 {
		return record{}, fmt.Errorf("accounts of %s keys: version %d; this linkseal reads version 1", what, r.Version)
	}
	return r, nil
}
