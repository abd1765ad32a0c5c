package keyvault

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

const (
	// maxPairs is how many pairs are used, and fetched.
	maxPairs = 16
	// over is how long after its window's end a pair is still used: a key
	// that carries traffic outlives its window.
	over = 24 * time.Hour
)

// group is all versions, disabled ones too, that carry one pair id; of a PSK or a
// certificate, that have one id. They are in order of creation.
type group struct {
	id       string
	cak, ckn []Version
	psk      []Version // or certificates
}

// all are its versions, whatever their kind.
func (g *group) all() []Version { return slices.Concat(g.ckn, g.cak, g.psk) }

// grouped sorts versions into groups, in order of their ids, and gives the
// enabled versions that are in none.
func grouped(versions []Version) (groups []*group, loose []Version) {
	byID := map[string]*group{}
	for _, v := range versions {
		id := v.Pair
		if id == "" && v.Kind.alone() {
			id = v.ID
		}
		if id == "" {
			if v.Enabled {
				loose = append(loose, v)
			}
			continue
		}
		g := byID[id]
		if g == nil {
			g = &group{id: id}
			byID[id] = g
			groups = append(groups, g)
		}
		switch v.Kind {
		case CAK:
			g.cak = append(g.cak, v)
		case CKN:
			g.ckn = append(g.ckn, v)
		case PSK, Certificate:
			g.psk = append(g.psk, v)
		}
	}
	for _, g := range groups {
		for _, vs := range [][]Version{g.cak, g.ckn, g.psk} {
			slices.SortFunc(vs, older)
		}
	}
	slices.SortFunc(groups, func(a, b *group) int { return cmp.Compare(a.id, b.id) })
	return groups, loose
}

// older orders versions by creation. The vault counts seconds; the id decides
// between two of one second, so that all who look decide alike.
func older(a, b Version) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

func enabled(vs []Version) []Version {
	var on []Version
	for _, v := range vs {
		if v.Enabled {
			on = append(on, v)
		}
	}
	return on
}

// state tells how the group stands as a pair, and why if it cannot be used.
// The first of the enabled versions, if there are any, speaks for it.
func (g *group) state() (PairState, string) {
	if len(g.psk) > 0 {
		return g.statePSK()
	}
	cak, ckn := enabled(g.cak), enabled(g.ckn)
	switch {
	case len(cak) == 0 && len(ckn) == 0:
		return Disabled, ""
	case len(cak) > 1:
		return Mixed, fmt.Sprintf("it has %d enabled versions of the CAK secret; disable all but the right one", len(cak))
	case len(ckn) > 1:
		return Mixed, fmt.Sprintf("it has %d enabled versions of the CKN secret; disable all but the right one", len(ckn))
	case len(cak) == 0:
		return half("CAK", "CKN", g.cak)
	case len(ckn) == 0:
		return half("CKN", "CAK", g.ckn)
	}
	a, n := cak[0], ckn[0]
	for _, v := range []Version{a, n} {
		if why := v.unusable(); why != "" {
			return Mixed, why
		}
	}
	switch {
	case !a.NotBefore.Equal(n.NotBefore) || !a.Expires.Equal(n.Expires):
		return Mixed, "nbf and exp of its CAK and of its CKN differ; set both alike"
	case a.Fallback != n.Fallback:
		return Mixed, "the tags linkseal-fallback of its CAK and of its CKN differ; set both alike"
	case a.ExpiresHard != n.ExpiresHard:
		return Mixed, "the tags linkseal-expires-hard of its CAK and of its CKN differ; set both alike"
	}
	return Complete, ""
}

// half is the state of a pair without an enabled version of missing.
func half(missing, there string, disabled []Version) (PairState, string) {
	if len(disabled) > 0 {
		return HalfDisabled, fmt.Sprintf("its %s is disabled and its %s is not; disable both", missing, there)
	}
	return Half, fmt.Sprintf("it has a %s and no %s; a rotation is under way, or was interrupted: run it again, or disable the %s", there, missing, there)
}

func (g *group) statePSK() (PairState, string) {
	on := enabled(g.psk)
	switch {
	case len(g.cak)+len(g.ckn) > 0:
		return Mixed, "it is a PSK and a pair"
	case len(on) == 0:
		return Disabled, ""
	case len(on) > 1:
		return Mixed, fmt.Sprintf("%d enabled versions have this id; disable all but the right one", len(on))
	}
	if why := on[0].unusable(); why != "" {
		return Mixed, why
	}
	return Complete, ""
}

// unusable tells what of an enabled version alone makes it no key's.
func (v *Version) unusable() string {
	switch {
	case v.Wrong != "":
		return v.name() + ": " + v.Wrong
	case !v.Expires.IsZero() && !v.Expires.After(v.NotBefore):
		return v.name() + ": exp is not after nbf; set a later one"
	case v.ExpiresHard && v.Expires.IsZero():
		return v.name() + ": the tag linkseal-expires-hard without exp; set exp"
	}
	return ""
}

// name is the version for a message.
func (r Ref) name() string { return fmt.Sprintf("%s version %s", r.Kind, r.ID) }

// start is what "newest" goes by.
func (v *Version) start() time.Time {
	if v.NotBefore.IsZero() {
		return v.Created
	}
	return v.NotBefore
}

// use picks the complete groups whose values are wanted: not those that ended
// more than a day before now, and at most maxPairs of the rest; left tells how
// many more there are. Those whose window has begun come newest first, those
// to come nearest first; neither crowds the other out of its half.
func use(groups []*group, now time.Time) (used []*group, left int) {
	now = atLeast(groups, now)
	var begun, coming []*group
	for _, g := range groups {
		if state, _ := g.state(); state != Complete {
			continue
		}
		v := g.first()
		switch {
		case isOver(v.Window(), now):
		case v.NotBefore.After(now):
			coming = append(coming, g)
		default:
			begun = append(begun, g)
		}
	}
	slices.SortStableFunc(begun, func(a, b *group) int { return b.first().start().Compare(a.first().start()) })
	slices.SortStableFunc(coming, func(a, b *group) int { return a.first().start().Compare(b.first().start()) })
	n := min(len(begun), maxPairs-min(len(coming), maxPairs/2))
	m := min(len(coming), maxPairs-n)
	return slices.Concat(begun[:n], coming[:m]), len(begun) - n + len(coming) - m
}

// isOver tells that w ended so long ago that its key is not used any more.
func isOver(w keychain.Window, now time.Time) bool {
	return !w.Expires.IsZero() && now.Sub(w.Expires) > over
}

// atLeast is now, or the newest creation if that is later: a clock that was
// never set is behind it.
func atLeast(groups []*group, now time.Time) time.Time {
	for _, g := range groups {
		for _, v := range g.all() {
			if v.Created.After(now) {
				now = v.Created
			}
		}
	}
	return now
}

// first is the enabled version that speaks for a complete group.
func (g *group) first() *Version {
	for i := range g.psk {
		if g.psk[i].Enabled {
			return &g.psk[i]
		}
	}
	for i := range g.ckn {
		if g.ckn[i].Enabled {
			return &g.ckn[i]
		}
	}
	return nil
}

// members are the refs of a complete group's enabled versions, the CKN's
// before the CAK's.
func (g *group) members() []Ref {
	var refs []Ref
	for _, v := range g.all() {
		if v.Enabled {
			refs = append(refs, v.Ref)
		}
	}
	return refs
}

// wanted are the versions whose values a Fetch is to get, those of the most
// useful pair first.
func wanted(versions []Version, have []Ref, now time.Time) []Ref {
	groups, _ := grouped(versions)
	used, _ := use(groups, now)
	var refs []Ref
	for _, g := range used {
		for _, r := range g.members() {
			if !slices.Contains(have, r) {
				refs = append(refs, r)
			}
		}
	}
	return refs
}

// listed is the groups as rotation sees them, the newest first.
func listed(groups []*group) []Listed {
	out := make([]Listed, 0, len(groups))
	for _, g := range groups {
		all := g.all()
		slices.SortFunc(all, func(a, b Version) int {
			if a.Enabled != b.Enabled {
				if a.Enabled {
					return -1
				}
				return 1
			}
			return older(a, b)
		})
		v := all[0]
		l := Listed{ID: g.id, Owner: v.Owner, NotBefore: v.NotBefore, Expires: v.Expires, Created: v.Created, Fallback: v.Fallback, ExpiresHard: v.ExpiresHard}
		if l.State, l.Why = g.state(); l.State == Complete {
			l.Pinned = g.pinned()
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Listed) int { return b.Created.Compare(a.Created) })
	return out
}
