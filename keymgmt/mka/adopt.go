package mka

import (
	"bytes"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// adopt takes over the SAs that an earlier process left in the SecY, so that
// traffic goes on under them while a fresh SAK is agreed. They are never
// installed again: nobody here knows their SAKs. What cannot be matched to a
// saved record is adopted all the same, under no CKN: it protects.
func (e *Entity) adopt(now time.Duration, t *sa.Table, saved Saved, out *[]Action) {
	e.used = slices.Clone(saved.Used)
	for _, r := range saved.SAs {
		e.use(r.Key)
	}
	if t != nil {
		for _, tx := range t.Tx {
			e.use(tx.Key)
		}
		for _, rx := range t.Rx {
			e.use(rx.Key)
		}
	}
	if t == nil || len(e.participants) > 0 || e.encoding >= 0 {
		return
	}
	for _, tx := range t.Tx {
		an := int(tx.AN & 3)
		if tx.Key.IsZero() || e.table[an].used {
			e.queue(sa.Change{Kind: sa.DeleteTx, SA: sa.SA{AN: tx.AN, Key: tx.Key}})
			continue
		}
		e.table[an] = slot{used: true, key: tx.Key, adopted: true, tx: true, txWanted: true, since: now, quiet: Never}
		e.table[an].pn.read(now, tx.PN)
		if an == int(t.Encoding) {
			e.encoding = an
			e.table[an].encSince = max(now, 1)
			e.table[an].seq = 1
			e.seq = 1
		}
	}
	for _, rx := range t.Rx {
		s := &e.table[rx.AN&3]
		if !s.used || s.key != rx.Key {
			e.queue(sa.Change{Kind: sa.DeleteRx, SCI: rx.SCI, SA: sa.SA{AN: rx.AN, Key: rx.Key}})
			continue
		}
		r := rxSA{sci: rx.SCI, queued: true, ok: true}
		r.pn.read(now, rx.PN)
		s.rx = append(s.rx, r)
	}
	for an := range e.table {
		s := &e.table[an]
		if !s.used {
			continue
		}
		for _, r := range saved.SAs {
			if r.Key == s.key {
				e.savedCKN[an] = bytes.Clone(r.CKN)
			}
		}
		e.tell(now, out, Report{Kind: Adopted, CKN: e.savedCKN[an], Key: s.key, AN: uint8(an)})
	}
	if e.encoding < 0 {
		for an := range e.table {
			e.drop(an)
		}
	}
	e.dirty = true
}

// save is what the next process needs.
func (e *Entity) save() Saved {
	v := Saved{Used: slices.Clone(e.used)}
	for an := range e.table {
		s := &e.table[an]
		if !s.used || !s.tx {
			continue
		}
		ckn := s.ckn()
		if ckn == nil {
			ckn = e.savedCKN[an]
		}
		v.SAs = append(v.SAs, SavedSA{Key: s.key, AN: uint8(an), CKN: bytes.Clone(ckn)})
	}
	return v
}
