package inspect

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// frameMKA explains an MKPDU; data is the frame without VLAN tags.
func (in *Inspector) frameMKA(r *Record, data []byte, w whole) {
	p := &in.pdu
	perr := mkpdu.Parse(data, p)
	// Where only the padding is cut, all is there that the ICV protects.
	if w != entire && (errors.Is(perr, mkpdu.FrameShort) || errors.Is(perr, mkpdu.EAPOLTruncated)) {
		in.cutMKA(r, data, w)
		return
	}
	if perr != nil && r.Error == "" {
		r.Error = perr.Error()
	}
	r.MKA = describe(p)
	a, icv := in.authenticate(p)
	if perr != nil && icv != ICVUnknownCKN {
		icv = ICVBad // what cannot be read is not authentic, whatever its ICV
	}
	r.MKA.ICV = icv
	c := in.cknOf(p.CKN)
	if perr != nil {
		if c != nil {
			c.malformed++
		}
		return
	}
	if icv == ICVBad && r.Error == "" {
		r.Error = "the ICV is wrong under the CAK given for this CKN: the sender has another CAK, or the frame was altered"
	}
	if icv == ICVOK {
		in.learn(r, a, p)
	}
	if c != nil {
		c.heard(in, r, a, p, icv)
	}
}

// authenticate finds the CA whose ICK made p's ICV.
func (in *Inspector) authenticate(p *mkpdu.PDU) (*ca, string) {
	icv := ICVUnknownCKN
	for _, a := range in.cas {
		if a.ckn != string(p.CKN) {
			continue
		}
		icv = ICVBad
		if len(p.ICV) == kdf.TagLen && a.ick.Verify(p.Signed, p.ICV) {
			return a, ICVOK
		}
	}
	return nil, icv
}

// learn takes over what an authentic MKPDU says: the member, the lowest PNs,
// the SAK.
func (in *Inspector) learn(r *Record, a *ca, p *mkpdu.PDU) {
	if known, ok := a.sci[p.MI]; ok && known != p.SCI {
		r.Hint = fmt.Sprintf("MI %s was %s's until now", p.MI, known)
	}
	if _, ok := a.sci[p.MI]; ok || len(a.sci) < maxTallies {
		a.sci[p.MI] = p.SCI
	}
	if p.HasDistributed && !p.Distributed.PlainText {
		in.distributed(r, a, p)
	}
	if p.HasUse {
		a.lowestPN(p, &p.Use.Latest, p.XPN.LatestHigh)
		a.lowestPN(p, &p.Use.Old, p.XPN.OldHigh)
	}
}

// distributed unwraps a SAK and keeps it, once for each key identifier.
func (in *Inspector) distributed(r *Record, a *ca, p *mkpdu.PDU) {
	d := &p.Distributed
	suite, known := sa.SuiteFromID(d.Suite)
	if !known {
		r.Error = fmt.Sprintf("Distributed SAK is for cipher suite %016x, which is none of 802.1AE-2018's: its frames cannot be decrypted", d.Suite)
		return
	}
	octets, err := kdf.Unwrap(a.kek, d.Wrapped)
	if err != nil {
		r.Error = "Distributed SAK: " + err.Error()
		return
	}
	defer octets.Zero()
	if in.showKeys {
		r.MKA.DistributedSAK.SAK = hex.EncodeToString(octets.Bytes())
	}
	id := sa.KeyID{MI: p.MI, KN: d.KN}
	print := octets.Fingerprint()
	for _, k := range a.saks[d.AN] {
		if k.id == id && k.fingerprint == print {
			k.members = memberMIs(p)
			k.setServer(p)
			return
		}
	}
	k, err := newSAK(suite, octets, offsetOf(d.ConfidentialityOffset))
	if err != nil {
		r.Error = "Distributed SAK: " + err.Error()
		return
	}
	k.id, k.an, k.ca, k.fingerprint, k.salt = id, d.AN, a, print, kdf.Salt(id)
	k.members = memberMIs(p)
	k.setServer(p)
	for _, others := range a.saks {
		for _, o := range others {
			if o.id == id {
				r.Error = fmt.Sprintf("key identifier %s was distributed before, with another SAK or AN: a key number may never be used again", id)
			}
		}
	}
	if list := &a.saks[d.AN]; len(*list) < keptSAKs {
		*list = slices.Insert(*list, 0, k)
	} else {
		copy((*list)[1:], *list)
		(*list)[0] = k
	}
}

// keptSAKs is how many SAKs are kept for an AN: late frames are under the one
// before the latest at most, and a hostile capture shall not fill memory.
const keptSAKs = 4

// lowestPN notes the lowest PN that p's sender still sends with under a key.
func (a *ca) lowestPN(p *mkpdu.PDU, u *mkpdu.KeyUse, high uint32) {
	for _, k := range a.saks[u.AN] {
		if k.id != u.Key || !k.suite.XPN() {
			continue
		}
		pn := uint64(high)<<32 | uint64(u.LowestPN)
		k.highest = max(k.highest, pn)
		rx := k.rxOf(p.SCI)
		rx.next = max(rx.next, pn)
	}
}

// memberMIs is who a SAK is for: its sender and the peers live to it.
func memberMIs(p *mkpdu.PDU) []sa.MI {
	mis := []sa.MI{p.MI}
	for i := range p.Live.Len() {
		mi, _ := p.Live.At(i)
		if !slices.Contains(mis, mi) {
			mis = append(mis, mi)
		}
	}
	return mis
}

// offsetOf is the confidentiality offset in octets; code 0 is integrity only.
func offsetOf(code uint8) int { return [...]int{0, 0, 30, 50}[code&3] }

// describe puts what p says into words of the contract.
func describe(p *mkpdu.PDU) *MKA {
	m := &MKA{
		CKN: hex.EncodeToString(p.CKN), Version: p.Version, KeyServer: p.KeyServer, Priority: p.Priority,
		Desired: p.Desired, Capability: p.Capability, SCI: p.SCI.String(), MI: p.MI.String(), MN: p.MN,
		LivePeers: peers(p.Live), PotentialPeers: peers(p.Potential), KeyServerSSCI: p.KeyServerSSCI,
	}
	if p.HasUse {
		u := &p.Use
		m.SAKUse = &SAKUse{
			Latest: keyUse(&u.Latest, p.XPN.LatestHigh), Old: keyUse(&u.Old, p.XPN.OldHigh),
			PlainTx: u.PlainTx, PlainRx: u.PlainRx, DelayProtect: u.DelayProtect,
		}
	}
	if p.HasDistributed {
		d := &p.Distributed
		m.DistributedSAK = &DistributedSAK{AN: d.AN, KN: d.KN, PlainText: d.PlainText}
		if !d.PlainText {
			m.DistributedSAK.Cipher = suiteName(d.Suite)
			m.DistributedSAK.ConfidentialityOffset = offsetOf(d.ConfidentialityOffset)
			m.DistributedSAK.IntegrityOnly = d.ConfidentialityOffset == 0
		}
	}
	if p.HasXPN {
		m.XPN = &XPN{Suspension: p.XPN.Suspension, LatestPNHigh: p.XPN.LatestHigh, OldPNHigh: p.XPN.OldHigh}
	}
	return m
}

func suiteName(id uint64) string {
	if s, ok := sa.SuiteFromID(id); ok {
		return s.String()
	}
	return fmt.Sprintf("%016x", id)
}

func peers(l mkpdu.PeerList) []Peer {
	list := make([]Peer, 0, l.Len())
	for i := range l.Len() {
		mi, mn := l.At(i)
		list = append(list, Peer{mi.String(), mn})
	}
	return list
}

func keyUse(u *mkpdu.KeyUse, high uint32) *KeyUse {
	if u.Key.IsZero() {
		return nil
	}
	return &KeyUse{
		AN: u.AN, KeyServerMI: u.Key.MI.String(), KN: u.Key.KN, Tx: u.Tx, Rx: u.Rx,
		LowestPN: uint64(high)<<32 | uint64(u.LowestPN),
	}
}
