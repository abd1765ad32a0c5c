package inspect

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// sak is a SAK with what is known of the SAs under it.
type sak struct {
	id          sa.KeyID // zero if the caller gave the SAK
	fingerprint string
	an          uint8
	suite       sa.Suite
	ca          *ca             // nil if the caller gave the SAK
	keys        []*softsecy.Key // one for each confidentiality offset that may be

	// For XPN.
	salt       [12]byte
	server     sa.SCI  // of the key server
	serverSSCI uint8   // what the key server said of its own, 0 if nothing
	members    []sa.MI // whom it was distributed to, the key server first
	highest    uint64  // greatest PN that any member announced or used

	bare SAK // what the caller gave, without the key
	rx   map[sa.SCI]*rxSA
}

// rxSA follows one member's frames under a SAK.
type rxSA struct {
	next uint64 // lowest PN expected
	ssci uint32 // 0 until a frame verified under it
}

func newSAK(suite sa.Suite, octets *secret.Key, offsets ...int) (*sak, error) {
	k := &sak{suite: suite, rx: map[sa.SCI]*rxSA{}}
	for _, offset := range offsets {
		key, err := softsecy.NewKey(softsecy.Params{Suite: suite, SAK: octets, Offset: offset})
		if err != nil {
			return nil, err
		}
		k.keys = append(k.keys, key)
	}
	return k, nil
}

// newBareSAK is a SAK that the caller gave. Its confidentiality offset is not
// known, and the ICV tells.
func newBareSAK(s SAK) (*sak, error) {
	offsets := []int{0, 30, 50}
	if s.Suite.XPN() {
		offsets = offsets[:1]
	}
	k, err := newSAK(s.Suite, s.SAK, offsets...)
	if err != nil {
		return nil, err
	}
	k.salt, k.highest = s.Salt, uint64(s.PNHigh)<<32
	s.SAK = nil
	k.bare = s
	return k, nil
}

func (k *sak) setServer(p *mkpdu.PDU) {
	k.server, k.serverSSCI = p.SCI, p.KeyServerSSCI
}

// rxOf gives the state of sci's SA, which it makes.
func (k *sak) rxOf(sci sa.SCI) *rxSA {
	rx := k.rx[sci]
	if rx == nil {
		rx = &rxSA{}
		if len(k.rx) < maxTallies {
			k.rx[sci] = rx
		}
	}
	return rx
}

// open validates m as a frame of sci. pn is the whole packet number.
func (k *sak) open(buf []byte, m *softsecy.MPDU, sci sa.SCI) (plain []byte, pn uint64, hint string, err error) {
	low := m.SecTAG.PN
	if !k.suite.XPN() {
		for i, key := range k.keys {
			plain, err = key.Open(buf, m, softsecy.IV32(sci, low))
			if err == nil {
				k.keys[0], k.keys[i] = k.keys[i], k.keys[0] // the offset is the same for all frames
				return plain, uint64(low), "", nil
			}
		}
		return nil, uint64(low), "", err
	}
	rx, known := k.rx[sci]
	if !known {
		rx = &rxSA{}
	}
	sscis := []uint32{rx.ssci}
	if rx.ssci == 0 {
		sscis = k.sscis(sci)
	}
	for i, ssci := range sscis {
		for _, pn := range k.pns(low, rx) {
			plain, err = k.keys[0].Open(buf, m, softsecy.IVXPN(ssci, pn, k.salt))
			if err != nil {
				continue
			}
			if rx.ssci == 0 && i > 0 {
				hint = fmt.Sprintf("verifies with SSCI %d where %d was expected: this peer does not number its SSCIs by falling SCI (802.1X 9.10)", ssci, sscis[0])
			}
			rx = k.rxOf(sci)
			rx.ssci, rx.next = ssci, max(rx.next, pn)
			k.highest = max(k.highest, pn)
			return plain, pn, hint, nil
		}
	}
	return nil, uint64(low), "", softsecy.ErrICV
}

// triedSSCIs is up to where SSCIs are tried that nothing speaks for.
const triedSSCIs = 8

// sscis are the SSCIs that sci may have, the likeliest first.
func (k *sak) sscis(sci sa.SCI) (list []uint32) {
	add := func(n uint32) {
		if n != 0 && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	if k.ca == nil {
		add(k.bare.SSCI)
	} else {
		members := k.memberSCIs()
		// The standard's numbers, around the one that the key server gave
		// itself if it says so.
		if k.serverSSCI != 0 {
			if sci == k.server {
				add(uint32(k.serverSSCI))
			} else if at := slices.Index(without(members, k.server), sci); at >= 0 {
				n := uint32(at) + 1
				if n >= uint32(k.serverSSCI) {
					n++
				}
				add(n)
			}
		}
		add(uint32(slices.Index(members, sci) + 1))
		for n := range uint32(len(members)) {
			add(n + 1)
		}
	}
	for n := range uint32(triedSSCIs) {
		add(n + 1)
	}
	return list
}

// memberSCIs are the SCIs of those that the SAK was distributed to, greatest
// first: the order of SSCIs.
func (k *sak) memberSCIs() (scis []sa.SCI) {
	for _, mi := range k.members {
		if sci, ok := k.ca.sci[mi]; ok && !slices.Contains(scis, sci) {
			scis = append(scis, sci)
		}
	}
	slices.SortFunc(scis, func(a, b sa.SCI) int { return bytes.Compare(b[:], a[:]) })
	return scis
}

func without(scis []sa.SCI, one sa.SCI) (rest []sa.SCI) {
	for _, s := range scis {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// pns are the packet numbers that a frame with these low 32 bits may have, the
// likeliest first: by the standard's rule from what was last seen of the
// sender, then of any member, then with neighbouring high words, for a late
// frame or one after a gap in the capture.
func (k *sak) pns(low uint32, rx *rxSA) (list []uint64) {
	add := func(pn uint64) {
		if !slices.Contains(list, pn) {
			list = append(list, pn)
		}
	}
	from := rx.next
	if from == 0 {
		from = k.highest
	}
	pn := softsecy.RecoverPN(low, from)
	add(pn)
	add(softsecy.RecoverPN(low, k.highest))
	if pn>>32 > 0 {
		add(pn - 1<<32)
	}
	add(pn + 1<<32)
	add(uint64(low))
	return list
}
