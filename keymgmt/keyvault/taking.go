package keyvault

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
)

// taking is one answer being made a keychain.
type taking struct {
	*state
	now      time.Time
	old, new *keychain.Keychain
	byRef    map[Ref]Version // what is listed, with the pair ids of before
	refused  []Refused
	again    map[Ref]bool // values to get anew
	alone    Kind         // the keychain is of PSKs, or of certificates; "": of pairs
}

// made is a key of the new keychain, or a PSK, with the age of its pair.
type made struct {
	pair string
	at   Version // zero: not listed any more, older than all that are
	key  *keychain.Key
	psk  *keychain.PSK
}

// list takes what is listed into byRef and returns it, each version once, and
// with the pair id that it had when it was first used: a version is immutable.
func (t *taking) list(versions []Version) []Version {
	before := pins(t.old)
	if len(t.old.PSKs) > 0 {
		t.alone = refOf(&t.old.PSKs[0]).Kind
	}
	var out []Version
	for _, v := range versions {
		if v.Kind.alone() {
			t.alone = v.Kind
		}
		if first, dup := t.byRef[v.Ref]; dup {
			if v.Pair != first.Pair {
				t.refuse(first.Pair, true, false, "%s is listed twice, as of %s %q too", v.name(), t.noun(), v.Pair)
			}
			continue
		}
		id, used := before[v.Ref]
		if v.Kind.alone() && id == v.ID {
			id = "" // it had no tag
		}
		if used && id != v.Pair {
			t.refuse(id, true, true, "%[1]s came back as of %[2]s %[3]q; a version of another %[2]s is to be a new version", v.name(), t.noun(), v.Pair)
			v.Pair = id
		}
		t.byRef[v.Ref] = v
		out = append(out, v)
	}
	return out
}

// build fills the new keychain from versions and, where they are no good, from
// the old one.
func (t *taking) build(versions []Version) {
	groups, loose := grouped(versions)
	for _, v := range loose {
		why := "it has no tag linkseal-pair; set it on both versions of the pair, or disable this one"
		if v.Wrong != "" {
			why = v.Wrong
		}
		t.refused = append(t.refused, Refused{Version: v.name(), Why: why})
	}
	used, left := use(groups, t.now)
	if left > 0 {
		t.refuse("", false, false, "%d %ss are enabled beyond the %d that are used; disable old ones", left, t.noun(), maxPairs)
	}
	now := atLeast(groups, t.now)
	var keys []made
	whole := map[string]bool{}
	for _, g := range groups {
		state, why := g.state()
		switch {
		case state == Disabled:
		case state != Complete:
			t.refuse(g.id, false, false, "%s", why)
		case slices.Contains(used, g) && t.vanished(g.id) == "":
			if m, ok := t.make(g); ok {
				keys = append(keys, m)
				whole[g.id] = true
			}
		default: // over, too many, or not what is pinned
			whole[g.id] = !slices.Contains(used, g)
		}
	}
	for i := range t.old.Keys {
		k := &t.old.Keys[i]
		if id := k.Pinned.Pair; !whole[id] && t.stays(id, k.Window, now, Ref{CAK, k.Pinned.CAK}, Ref{CKN, k.Pinned.CKN}) {
			keys = append(keys, made{pair: id, key: k, at: t.byRef[Ref{CKN, k.Pinned.CKN}]})
		}
	}
	for i := range t.old.PSKs {
		k := &t.old.PSKs[i]
		if !whole[k.ID] && t.stays(k.ID, k.Window, now, refOf(k)) {
			keys = append(keys, made{pair: k.ID, psk: k, at: t.byRef[refOf(k)]})
		}
	}
	t.fill(keys)
}

// make is the key of a complete group; false if it has none, or its values
// are not there yet.
func (t *taking) make(g *group) (m made, ok bool) {
	for _, r := range g.members() {
		v := t.values[r]
		switch {
		case v == nil:
			return m, false
		case v.Wrong != "":
			t.unfit(g, "%s %s", r.name(), v.Wrong)
			return m, false
		case t.lies[r]:
			t.refuse(g.id, true, true, "%s came back with another value; the first one stays, find out who answers for the vault", r.name())
		}
	}
	v, p := g.first(), g.pinned()
	m = made{pair: g.id, at: *v}
	origin := keychain.Origin{File: t.origin + ", " + t.noun() + " " + g.id}
	if v.Kind.alone() {
		value := t.values[v.Ref]
		w := v.Window()
		if w.NotBefore.IsZero() {
			// Both ends of a tunnel are to agree which is the newest, whenever
			// each has seen it first.
			w.NotBefore = v.Created
		}
		m.psk = &keychain.PSK{ID: g.id, Secret: value.Octets, Text: value.Text, Certificate: v.Kind == Certificate, Window: w, ExpiresHard: v.ExpiresHard, Fallback: v.Fallback, Version: v.ID, Origin: origin}
		return m, true
	}
	ckn, cak := t.values[Ref{CKN, p.CKN}].Octets, t.values[Ref{CAK, p.CAK}].Octets
	switch {
	case ckn.Len() != cak.Len():
		t.unfit(g, "its CKN is %d octets and its CAK %d; Azure demands equal lengths: write a new pair", ckn.Len(), cak.Len())
		return m, false
	case ckn.Equal(cak):
		t.unfit(g, "its CKN and its CAK are the same, and a CKN is no secret: write a new pair")
		return m, false
	}
	m.key = &keychain.Key{CKN: keychain.CKN(ckn.Bytes()), CAK: cak, Window: v.Window(), ExpiresHard: v.ExpiresHard, Fallback: v.Fallback, Pinned: *p, Origin: origin}
	return m, true
}

// stays tells whether a key of the old keychain that has no good pair now is
// used on, as it was.
func (t *taking) stays(pair string, w keychain.Window, now time.Time, members ...Ref) bool {
	if isOver(w, now) {
		return false
	}
	for _, r := range members {
		if v, there := t.byRef[r]; there && !v.Enabled || !there && t.replaced() {
			return false
		}
	}
	if gone := t.vanished(pair); gone != "" { // which is why it is not whole
		t.refused = slices.DeleteFunc(t.refused, func(r Refused) bool { return r.Pair == pair && !r.Lying })
		t.refuse(pair, true, true, "%s: not listed any more, and a vault cannot delete one version; recover the secret, or disable the %s to retire it", gone, t.noun())
	}
	for i := range t.refused {
		if r := &t.refused[i]; r.Pair == pair {
			r.Held = true
		}
	}
	return true
}

// vanished is a version that the old key of pair is made of and that is not
// listed, though its secret is the same.
func (t *taking) vanished(pair string) string {
	if t.replaced() {
		return ""
	}
	var gone []string
	for r, id := range pins(t.old) {
		if _, there := t.byRef[r]; id == pair && !there {
			gone = append(gone, r.name())
		}
	}
	slices.Sort(gone)
	return strings.Join(gone, " and ")
}

// replaced tells that none of the versions that were used is listed, of either
// secret, and others are: the secrets were deleted and purged, and written
// anew. While one is listed, another that is not is a lie.
func (t *taking) replaced() bool {
	before := pins(t.old)
	others := map[Kind]bool{}
	for r := range t.byRef {
		if _, used := before[r]; used {
			return false
		}
		others[r.Kind] = true
	}
	for r := range before {
		if !others[r.Kind] {
			return false
		}
	}
	return true
}

// fill puts keys into the new keychain, with secrets of its own. Of two with
// one CKN the one that was used before has it, whatever the vault says of the
// other's age: it may carry traffic. Else the older has it.
func (t *taking) fill(keys []made) {
	slices.SortStableFunc(keys, func(a, b made) int { return older(a.at, b.at) })
	by := map[keychain.CKN]string{}
	for _, m := range keys {
		if m.key == nil {
			continue
		}
		if old := t.old.Find(m.key.CKN); old != nil && old.Pinned.Pair == m.pair {
			by[m.key.CKN] = m.pair
		}
	}
	for _, m := range keys {
		if m.psk != nil {
			p := *m.psk
			p.Secret = p.Secret.Clone()
			t.new.PSKs = append(t.new.PSKs, p)
			continue
		}
		if other, dup := by[m.key.CKN]; dup && other != m.pair {
			t.refuse(m.pair, false, false, "it has the CKN of pair %s; write a new pair with a CKN of its own", other)
			t.again[Ref{CKN, m.key.Pinned.CKN}] = true
			continue
		}
		by[m.key.CKN] = m.pair
		k := *m.key
		k.CAK = k.CAK.Clone()
		t.new.Keys = append(t.new.Keys, k)
	}
}

// unfit refuses a pair for its values. They are got again: what an honest
// vault shows does not change, and what another does may.
func (t *taking) unfit(g *group, format string, args ...any) {
	t.refuse(g.id, false, false, format, args...)
	for _, r := range g.members() {
		t.again[r] = true
	}
}

func (t *taking) refuse(pair string, lying, held bool, format string, args ...any) {
	t.refused = append(t.refused, Refused{Pair: pair, Why: fmt.Sprintf(format, args...), Lying: lying, Held: held})
}

// noun is what the keychain is made of.
func (t *taking) noun() string {
	switch t.alone {
	case PSK:
		return "PSK"
	case Certificate:
		return "certificate"
	}
	return "pair"
}

// remedy is what to do where there is none.
func (t *taking) remedy() string {
	if t.alone == Certificate {
		return "have the vault make one (az keyvault certificate create or import)"
	}
	return "write one with linkseal keys generate"
}

// named are what is refused, each under its own name.
func (t *taking) named() []Refused {
	if t.alone != "" {
		for i := range t.refused {
			r := &t.refused[i]
			if t.alone == Certificate && r.Pair != "" {
				r.Version, r.Pair = "certificate "+r.Pair, ""
			} else {
				r.PSK, r.Pair = r.Pair, ""
			}
		}
	}
	return t.refused
}
