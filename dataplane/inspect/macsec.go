package inspect

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// frameMACsec explains a MACsec frame of length octets.
func (in *Inspector) frameMACsec(r *Record, data []byte, length int, w whole) {
	m := &in.mpdu
	err := m.Parse(data)
	// The ICV is the frame's end, but for the padding that a short length tells.
	cut := w != entire && (err != nil || m.SecTAG.SL == 0)
	tag := &m.SecTAG
	rec := &MACsec{
		AN: tag.AN, PN: uint64(tag.PN), Encrypted: tag.Encrypted(), TCI: tag.TCI.String(), SL: tag.SL,
		Length: len(m.Secure),
	}
	if cut && rec.Length > 0 {
		rec.Length += length - len(data)
	}
	r.MACsec = rec
	scis := in.scisOf(m)
	if len(scis) > 0 {
		rec.SCI = scis[0].String()
	}
	member := in.isMember(scis)
	saks := in.saksFor(scis, tag.AN)
	switch {
	case cut:
		rec.ICV = ICVNoKey // there is nothing to hold against a key
	case err != nil:
		r.Error = err.Error()
		rec.ICV = ICVNoKey
		if len(saks) > 0 {
			rec.ICV = ICVBad
		}
	case len(saks) == 0:
		rec.ICV = ICVNoKey
		r.Hint = in.whyNoKey(member, tag.AN)
	default:
		in.validate(r, rec, scis, saks)
		if rec.ICV == ICVBad && !member && len(in.bare) == 0 {
			rec.ICV, r.Error = ICVNoKey, ""
			r.Hint = in.whyNoKey(false, tag.AN)
		}
	}
	if len(scis) > 0 {
		sci := scis[0]
		if in.macsec[sci] == nil && len(in.macsec) < maxTallies {
			in.macsec[sci] = &tally{}
		}
		if t := in.macsec[sci]; t != nil {
			t.add(rec.ICV, cut)
		}
	}
	in.total.add(rec.ICV, cut)
	if cut && w == snapped {
		in.cut.macsec++
		in.cut.most = max(in.cut.most, len(data))
	}
}

// validate tries the SAKs under the SCIs that the frame may have.
func (in *Inspector) validate(r *Record, rec *MACsec, scis []sa.SCI, saks []*sak) {
	m := &in.mpdu
	for _, k := range saks {
		for i, sci := range scis {
			plain, pn, hint, err := k.open(in.opened[:0], m, sci)
			if errors.Is(err, softsecy.ErrZeroPN) {
				r.Error = err.Error()
				rec.ICV = ICVBad
				return
			}
			if err != nil {
				continue
			}
			in.opened = plain
			rec.ICV, rec.SCI, rec.PN, rec.Cipher = ICVOK, sci.String(), pn, k.suite.String()
			if !k.id.IsZero() {
				rec.Key = k.id.String()
			}
			if in.showKeys {
				rec.Plaintext = hex.EncodeToString(plain)
			}
			r.Hint = hint
			if i > 0 {
				r.Hint = fmt.Sprintf("verifies with SCI %s where the frame tells %s", sci, scis[0])
			}
			return
		}
	}
	rec.ICV = ICVBad
	r.Error = fmt.Sprintf("the ICV is wrong under the SAK of AN %d: the frame was altered, or is under a SAK that this capture does not have", rec.AN)
}

// scisOf are the SCIs that the frame may be of, the likeliest first. With SC
// the tag has it. With ES it is SA and port 1. With neither it is the one that
// the source announced in MKA; Linux 6.1 takes SA and port 1 all the same.
func (in *Inspector) scisOf(m *softsecy.MPDU) (scis []sa.SCI) {
	implied, ok := m.SecTAG.ImpliedSCI(m.SA)
	if m.SecTAG.TCI.Has(softsecy.SC) {
		if ok && m.SecTAG.SCI != (sa.SCI{}) || m.Secure != nil {
			return []sa.SCI{implied}
		}
		return nil // the tag is cut before its SCI
	}
	add := func(s sa.SCI) {
		for _, have := range scis {
			if have == s {
				return
			}
		}
		scis = append(scis, s)
	}
	if ok {
		add(implied)
	}
	for _, k := range in.bare {
		if k.bare.SCI != (sa.SCI{}) {
			add(k.bare.SCI)
		}
	}
	for _, c := range in.order {
		for _, s := range c.speakers {
			if s.src == m.SA && s.ok > 0 {
				add(s.sci)
			}
		}
	}
	add(sa.NewSCI(m.SA, 1))
	return scis
}

func (in *Inspector) isMember(scis []sa.SCI) bool {
	for _, a := range in.cas {
		for _, s := range scis {
			if a.isMember(s) {
				return true
			}
		}
	}
	return false
}

// saksFor are the SAKs under which a frame with this AN may be, the latest
// first: those that the caller gave and those of its CA, then the rest, for
// where one direction of MKA was not captured the members are not all known.
func (in *Inspector) saksFor(scis []sa.SCI, an uint8) (list []*sak) {
	if len(scis) == 0 {
		return nil
	}
	ofMember := func(a *ca) bool {
		for _, s := range scis {
			if a.isMember(s) {
				return true
			}
		}
		return false
	}
	list = append(list, in.bare...)
	for _, want := range []bool{true, false} {
		for _, a := range in.cas {
			if ofMember(a) == want {
				list = append(list, a.saks[an]...)
			}
		}
	}
	return list
}

func (in *Inspector) whyNoKey(member bool, an uint8) string {
	switch {
	case len(in.cas) == 0 && len(in.bare) == 0:
		return "no CAK and no SAK was given"
	case member:
		return fmt.Sprintf("no SAK for AN %d was distributed so far in this capture", an)
	}
	return "its SCI announced itself under no CAK that was given so far in this capture"
}
