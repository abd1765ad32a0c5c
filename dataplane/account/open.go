package account

import "time"

// Open marks the current accounts of which it is not known any more that nothing
// passed the port uncounted: since then, or since they began, for that reason.
// cut tells that they end with it, though the keys go on: who calls it counts anew.
// Those that are marked stay as they are.
func (l *Ledger) Open(since time.Time, why string, cut bool) {
	for i := range l.Current {
		a := &l.Current[i]
		a.Cut = a.Cut || cut
		if a.OpenSince != nil {
			continue
		}
		from := since
		if from.Before(a.From) {
			from = a.From
		}
		from = from.UTC()
		a.OpenSince, a.Open = &from, why
	}
}

// keep takes over from old, the same account as it was told before, what is no count.
func (a *Account) keep(old *Account) {
	if a.CKN == "" {
		a.CKN = old.CKN
	}
	if a.OpenSince == nil {
		a.OpenSince, a.Open = old.OpenSince, old.Open
	}
	a.Cut = a.Cut || old.Cut
}
