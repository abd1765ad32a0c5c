package softsecy_test

import (
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/linkseal/linkseal/dataplane/secy/counters"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// seal makes an MPDU of a frame without SecTAG: 9.3, 10.5, 14.5 to 14.8. flags
// is the octet with TCI and AN; what is sealed need not be what it says.
func (s *refSecY) seal(a *refSA, frame []byte, flags byte, sci sa.SCI, pn *big.Int) []byte {
	user := frame[12:]
	sl := len(user)
	if sl >= 48 {
		sl = 0
	}
	low := make([]byte, 8)
	pn.FillBytes(low)
	mpdu := slices.Concat(frame[:12], []byte{0x88, 0xe5, flags, byte(sl)}, low[4:])
	if flags&0x20 != 0 {
		mpdu = append(mpdu, sci[:]...)
	}
	open := len(user)
	if flags&0x08 != 0 {
		open = min(s.c.Offset, len(user))
	}
	mpdu = append(mpdu, user[:open]...)
	return append(mpdu, a.gcm.Seal(nil, s.iv(a, sci, pn), user[open:], mpdu)...)
}

// transmit is Figure 10-3: what leaves for a frame without SecTAG, nil if
// nothing.
func (s *refSecY) transmit(frame []byte) []byte {
	user := len(frame) - 12
	switch {
	case user < 2, s.port == sa.Unsecured:
		s.n.OutPktsDropped++
		return nil
	case s.port == sa.Clear:
		s.n.OutPktsUntagged++
		return frame
	case s.encoding == nil:
		s.n.OutPktsDropped++
		return nil
	}
	a := s.encoding
	flags, tag := a.out.AN, 8
	switch {
	case s.c.SendSCI, len(s.rx) > 1 && !(s.c.EndStation && binary.BigEndian.Uint16(s.c.SCI[6:]) == 1):
		flags |= 0x20
		tag = 16
	case s.c.EndStation && binary.BigEndian.Uint16(s.c.SCI[6:]) == 1:
		flags |= 0x40
	}
	if s.c.Encrypt {
		flags |= 0x0c
	}
	if s.c.MaxMPDU > 0 && 12+tag+user+16 > s.c.MaxMPDU {
		s.n.OutPktsTooLong++
		return nil
	}
	if a.next.Cmp(s.lastPN()) > 0 {
		s.n.OutPktsDropped++
		return nil
	}
	pn := new(big.Int).Set(a.next)
	a.next.Add(a.next, big.NewInt(1))
	if s.c.Encrypt {
		s.n.OutPktsEncrypted++
		s.n.OutOctetsEncrypted += uint64(user)
		a.out.OutPktsEncrypted++
	} else {
		s.n.OutPktsProtected++
		s.n.OutOctetsProtected += uint64(user)
		a.out.OutPktsProtected++
	}
	return s.seal(a, frame, flags, s.c.SCI, pn)
}

// receive is Figure 10-4: what is delivered of a frame, nil if nothing.
func (s *refSecY) receive(f []byte) []byte {
	strict := s.port != sa.Clear
	if len(f) < 14 {
		s.n.InPktsNoTag++
		return nil
	}
	if f[12] != 0x88 || f[13] != 0xe5 {
		if strict {
			s.n.InPktsNoTag++
			return nil
		}
		s.n.InPktsUntagged++
		return f
	}
	tag, user, ok := s.tag(f)
	if !ok {
		s.n.InPktsBadTag++
		return nil
	}
	es, sc, scb, e, c := f[14]&0x40 != 0, f[14]&0x20 != 0, f[14]&0x10 != 0, f[14]&0x08 != 0, f[14]&0x04 != 0

	var sci sa.SCI
	known := true
	switch {
	case sc:
		copy(sci[:], f[20:28])
	case scb:
		copy(sci[:], f[6:12])
	case es:
		copy(sci[:], f[6:12])
		sci[7] = 1
	default:
		if known = len(s.rx) == 1; known {
			sci = s.scis()[0]
		}
	}
	channel := s.rx[sci]
	if !known || channel == nil {
		if strict || c {
			s.n.InPktsNoSCI++
			return nil
		}
		s.n.InPktsUnknownSCI++
		return s.deliver(f, tag, user)
	}
	// both counts for the SC and for the SecY.
	both := func(counter func(*counters.RxSC) *uint64, n uint64) {
		*counter(&channel.n) += n
		*counter(&s.n.RxSC) += n
	}
	a := channel.sa[f[14]&3]
	if a == nil {
		if strict || c {
			both(func(n *counters.RxSC) *uint64 { return &n.InPktsNotUsingSA }, 1)
			return nil
		}
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsUnusedSA }, 1)
		return s.deliver(f, tag, user)
	}

	pn := s.recover(binary.BigEndian.Uint32(f[16:20]), a.next)
	late := pn.Cmp(s.lowestPN(a)) < 0
	if late && s.c.ReplayWindow != nil {
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsLate }, 1)
		return nil
	}
	open := 12 + tag + user
	if e {
		open = 12 + tag + min(s.c.Offset, user)
		both(func(n *counters.RxSC) *uint64 { return &n.InOctetsDecrypted }, uint64(user))
	} else {
		both(func(n *counters.RxSC) *uint64 { return &n.InOctetsValidated }, uint64(user))
	}
	plain, err := a.gcm.Open(nil, s.iv(a, sci, pn), f[open:12+tag+user+16], f[:open])
	switch {
	case err != nil && (strict || c):
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsNotValid }, 1)
		a.in.InPktsNotValid++
		return nil
	case err != nil:
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsInvalid }, 1)
		a.in.InPktsInvalid++
		return s.deliver(f, tag, user)
	case late:
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsDelayed }, 1)
	default:
		both(func(n *counters.RxSC) *uint64 { return &n.InPktsOK }, 1)
		a.in.InPktsOK++
		atLeast(a.next, new(big.Int).Add(pn, big.NewInt(1)))
	}
	return s.deliver(slices.Concat(f[:open], plain), tag, user)
}

// tag is 9.12: the lengths of the SecTAG and of the user data; false if the
// SecTAG is not valid.
func (s *refSecY) tag(f []byte) (tag, user int, ok bool) {
	tag = 8
	if len(f) < 12+tag {
		return 0, 0, false
	}
	v, es, sc, scb := f[14]&0x80 != 0, f[14]&0x40 != 0, f[14]&0x20 != 0, f[14]&0x10 != 0
	e, c := f[14]&0x08 != 0, f[14]&0x04 != 0
	sl := int(f[15])
	if v || sc && es || sc && scb || e != c || sl > 47 {
		return 0, 0, false
	}
	if binary.BigEndian.Uint32(f[16:20]) == 0 && s.lastPN().BitLen() == 32 {
		return 0, 0, false
	}
	if sc {
		tag = 16
	}
	user = len(f) - 12 - tag - 16
	if sl == 0 {
		return tag, user, user >= 48
	}
	if len(f) > 60 {
		return tag, user, user == sl
	}
	return tag, sl, user >= sl
}

// recover is 10.6.2: the PN whose low 32 bits these are. It is the one next to
// nextPN that a PN may be, the lower of two.
func (s *refSecY) recover(low uint32, next *big.Int) *big.Int {
	if s.lastPN().BitLen() == 32 {
		return num(uint64(low))
	}
	from := new(big.Int).Set(next)
	if from.Cmp(s.lastPN()) > 0 {
		from = s.lastPN()
	}
	var best, least *big.Int
	for high := int64(-1); high <= 1; high++ {
		pn := new(big.Int).Rsh(from, 32)
		pn.Add(pn, big.NewInt(high)).Lsh(pn, 32).Add(pn, num(uint64(low)))
		if pn.Sign() <= 0 || pn.Cmp(s.lastPN()) > 0 {
			continue
		}
		far := new(big.Int).Sub(pn, from)
		if far.Abs(far); least == nil || far.Cmp(least) < 0 {
			best, least = pn, far
		}
	}
	return best
}

// deliver is a frame without its SecTAG and ICV.
func (s *refSecY) deliver(f []byte, tag, user int) []byte {
	return slices.Concat(f[:12], f[12+tag:12+tag+user])
}
