package mka

import (
	"slices"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// checkNonces: with XPN the SSCI tells the members' nonces apart. No two that
// could transmit with a SAK have the same, unless a test puts another SSCI in
// the key server's mouth.
func (w *world) checkNonces() {
	if w.tap != nil {
		return
	}
	type nonces struct {
		key  sa.KeyID
		ssci uint32
	}
	seen := map[nonces]int{}
	for _, n := range w.nodes {
		for an, tx := range n.secy.tx {
			if !n.cfg.Suite.XPN() {
				continue
			}
			x := nonces{tx.Key, n.secy.ssci[an]}
			if o, ok := seen[x]; ok {
				w.t.Fatalf("%v: n%d and n%d both have SSCI %d under %s\n%s", w.now, o, n.id, x.ssci, x.key, w.dump())
			}
			seen[x] = n.id
		}
	}
}

// bond is what a pair of nodes was at the last check: what the first encodes
// with, and whether they held each other live and the second received it.
type bond struct {
	key sa.KeyID
	ok  bool
}

// checkPair holds the invariant that what a member encodes with is in every
// live member's receive set: whenever it begins to encode, and for as long as
// the two hold each other live. Two who meet again after they had let go of
// each other are owed a fresh SAK.
func (w *world) checkPair(a, b *node) {
	at := [2]int{a.id, b.id}
	was := w.bonds[at]
	tx, ok := a.secy.encodesWith()
	if !ok || a.e == nil || b.e == nil || w.excused[tx.Key] || b.secy.gutted || !w.mutual(a, b, tx.Key) {
		w.bonds[at] = bond{key: tx.Key}
		return
	}
	// What the table has let go of is gone, although a delete is yet to be
	// done.
	receives := b.secy.receives(a.cfg.SCI, tx) && b.e.find(tx.Key) >= 0
	if !receives && (was.ok || was.key != tx.Key) {
		w.t.Fatalf("%v: n%d encodes with %s an %d, which live n%d cannot receive\n%s", w.now, a.id, tx.Key, tx.AN, b.id, w.dump())
	}
	w.bonds[at] = bond{tx.Key, receives}
}

// mutual tells whether two nodes hold each other live in the CA whose SAK is
// k, under their present MIs, each having last heard that the other does, and that SAK was made for both.
func (w *world) mutual(a, b *node, k sa.KeyID) bool {
	an := a.e.find(k)
	if an < 0 || a.e.table[an].owner == nil {
		return false
	}
	s := &a.e.table[an]
	pb := b.e.byCKN(s.owner.ckn)
	if pb == nil {
		return false
	}
	qb := s.owner.byMI(&pb.mi)
	qa := pb.byMI(&s.owner.mi)
	if qa == nil || qb == nil || !qa.live || !qb.live || !qa.listsUs || !qb.listsUs {
		return false
	}
	// One that has let go of the key server, or to whom an MKPDU from before
	// its restart came after those from after it, is owed a fresh SAK too.
	if k.MI != pb.mi && pb.byMI(&k.MI) == nil {
		return false
	}
	// A member that came later is owed a fresh SAK, not this one.
	return slices.Contains(w.made[k], s.owner.mi) && slices.Contains(w.made[k], pb.mi)
}

// remember notes for whom each SAK was made.
func (w *world) remember(e *Entity) {
	for an := range e.table {
		if s := &e.table[an]; s.used && s.ours && s.owner != nil && w.made[s.key] == nil {
			w.made[s.key] = append([]sa.MI{s.owner.mi}, s.members...)
		}
	}
}
