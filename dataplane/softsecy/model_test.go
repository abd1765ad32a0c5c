package softsecy_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// refSecY is the SecY of 802.1AE-2018 clause 10 a second time: slow, with one
// thread, and written from the standard without a look at the first. They
// share GCM and the names of things.
type refSecY struct {
	c        softsecy.Config
	port     sa.ControlledPort
	tx       [4]*refSA
	encoding *refSA
	rx       map[sa.SCI]*refSC
	n        softsecy.Counters // but for its lists
}

type refSC struct {
	n  counters.RxSC
	sa [4]*refSA
}

// refSA transmits or receives. The PNs are without end: nextPN may be 2^64.
type refSA struct {
	key    sa.KeyID
	gcm    cipher.AEAD
	ssci   uint32
	salt   [12]byte
	next   *big.Int
	lowest *big.Int // as it was set; see lowestPN
	in     counters.RxSA
	out    counters.TxSA
}

func newRef(c softsecy.Config) *refSecY { return &refSecY{c: c, rx: map[sa.SCI]*refSC{}} }

func num(n uint64) *big.Int { return new(big.Int).SetUint64(n) }

// lastPN is 2^32-1 or 2^64-1.
func (s *refSecY) lastPN() *big.Int {
	if s.c.Suite == sa.GCMAESXPN128 || s.c.Suite == sa.GCMAESXPN256 {
		return num(1<<64 - 1)
	}
	return num(1<<32 - 1)
}

func (s *refSecY) newSA(a *sa.SA) *refSA {
	block, err := aes.NewCipher(a.SAK.Bytes())
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	key := a.Key.String()
	return &refSA{key: a.Key, gcm: gcm, ssci: a.SSCI, salt: a.Salt, next: num(a.PN), lowest: num(a.PN),
		in: counters.RxSA{AN: a.AN, Key: key}, out: counters.TxSA{AN: a.AN, Key: key}}
}

// iv: 14.5, and 14.7 with XPN.
func (s *refSecY) iv(a *refSA, sci sa.SCI, pn *big.Int) []byte {
	iv := make([]byte, 12)
	if s.lastPN().BitLen() == 32 {
		copy(iv, sci[:])
		pn.FillBytes(iv[8:])
		return iv
	}
	binary.BigEndian.PutUint32(iv, a.ssci)
	pn.FillBytes(iv[4:])
	for i := range iv {
		iv[i] ^= a.salt[i]
	}
	return iv
}

// apply is what sa.ChangeKind says; false is an error.
func (s *refSecY) apply(c sa.Change) bool {
	an := c.SA.AN
	sc := s.rx[c.SCI]
	switch c.Kind {
	case sa.InstallTx:
		for i, a := range s.tx {
			if a != nil && (a.key == c.SA.Key) != (i == int(an)) {
				return false
			}
		}
		if s.tx[an] == nil {
			s.tx[an] = s.newSA(&c.SA)
		}
	case sa.Encode:
		if s.tx[an] == nil || s.tx[an].key != c.SA.Key || s.tx[an].next.Cmp(s.lastPN()) > 0 {
			return false
		}
		s.encoding = s.tx[an]
	case sa.DeleteTx:
		if a := s.tx[an]; a != nil && a.key == c.SA.Key {
			s.tx[an] = nil
			if s.encoding == a {
				s.encoding = nil
			}
		}
	case sa.InstallRx:
		if sc == nil {
			sc = &refSC{}
			s.rx[c.SCI] = sc
		}
		if sc.sa[an] == nil {
			sc.sa[an] = s.newSA(&c.SA)
		}
		return sc.sa[an].key == c.SA.Key
	case sa.DeleteRx:
		if sc != nil && sc.sa[an] != nil && sc.sa[an].key == c.SA.Key {
			sc.sa[an] = nil
		}
	case sa.DeleteSC:
		delete(s.rx, c.SCI)
	case sa.RaiseLowestPN:
		if sc == nil || sc.sa[an] == nil || sc.sa[an].key != c.SA.Key {
			return false
		}
		atLeast(sc.sa[an].lowest, num(c.SA.PN))
		atLeast(sc.sa[an].next, num(c.SA.PN))
	}
	return true
}

func atLeast(n, least *big.Int) {
	if n.Cmp(least) < 0 {
		n.Set(least)
	}
}

// lowestPN is the lowest acceptable PN: 10.6.4.
func (s *refSecY) lowestPN(a *refSA) *big.Int {
	low := new(big.Int).Set(a.next)
	if w := s.c.ReplayWindow; w != nil {
		low.Sub(low, num(uint64(*w)))
	}
	atLeast(low, a.lowest)
	return low
}

func (s *refSecY) setParameters(p softsecy.Parameters) {
	if s.c.ReplayWindow != nil {
		for _, sc := range s.rx {
			for _, a := range sc.sa {
				if a != nil {
					a.lowest = s.lowestPN(a)
				}
			}
		}
	}
	s.c.Parameters = p
}

func (s *refSecY) table() (t sa.Table) {
	t.Encoding = sa.NoAN
	for an, a := range s.tx {
		if a == nil {
			continue
		}
		st := sa.TxState{AN: uint8(an), Key: a.key}
		if a.next.Cmp(s.lastPN()) <= 0 {
			st.PN = a.next.Uint64()
			if s.encoding == a {
				t.Encoding = st.AN
			}
		}
		t.Tx = append(t.Tx, st)
	}
	for _, sci := range s.scis() {
		for an, a := range s.rx[sci].sa {
			if a != nil {
				next := new(big.Int).Set(a.next)
				if next.Cmp(s.lastPN()) > 0 {
					next = s.lastPN()
				}
				t.Rx = append(t.Rx, sa.RxState{SCI: sci, AN: uint8(an), Key: a.key, PN: next.Uint64()})
			}
		}
	}
	return t
}

func (s *refSecY) scis() (scis []sa.SCI) {
	for sci := range s.rx {
		scis = append(scis, sci)
	}
	slices.SortFunc(scis, func(a, b sa.SCI) int { return bytes.Compare(a[:], b[:]) })
	return scis
}

func (s *refSecY) counters() softsecy.Counters {
	c := s.n
	c.TxSAs, c.RxSCs = []counters.TxSA{}, []counters.RxChannel{}
	for _, a := range s.tx {
		if a != nil {
			c.TxSAs = append(c.TxSAs, a.out)
		}
	}
	for _, sci := range s.scis() {
		sc := s.rx[sci]
		r := counters.RxChannel{SCI: sci.String(), RxSC: sc.n, SAs: []counters.RxSA{}}
		for _, a := range sc.sa {
			if a != nil {
				r.SAs = append(r.SAs, a.in)
			}
		}
		c.RxSCs = append(c.RxSCs, r)
	}
	return c
}
