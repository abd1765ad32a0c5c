package mkpdu

import (
	"encoding/binary"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Len is the length in octets of the frame that Append makes, the 16 of its
// ICV included, to be held against MaxLen or the port's MTU. It is 0 if p
// cannot be encoded: a CKN that does not have 1 to 32 octets, a peer list
// that is not whole peers, a wrapped SAK that is not what the suite asks for,
// or a body above MaxSetBody.
func (p *PDU) Len() int {
	if len(p.CKN) < 1 || len(p.CKN) > MaxCKN {
		return 0
	}
	n := setLen + padded(basicLen+len(p.CKN))
	ok := true
	add := func(has bool, body int) {
		if has {
			ok = ok && body <= MaxSetBody
			n += setLen + padded(body)
		}
	}
	add(p.HasLive, len(p.Live))
	add(p.HasPotential, len(p.Potential))
	add(p.HasUse, p.Use.len())
	if p.HasDistributed {
		body, valid := p.Distributed.len()
		ok = ok && valid
		add(true, body)
	}
	add(p.DistributedCAK != nil, len(p.DistributedCAK))
	add(p.KMD != nil, len(p.KMD))
	add(p.Announcement != nil, len(p.Announcement))
	add(p.HasXPN, xpnLen)
	if p.ICVIndicator {
		n += setLen
	}
	n += ICVLen
	if !ok || len(p.Live)%peerLen != 0 || len(p.Potential)%peerLen != 0 {
		return 0
	}
	return etherLen + eapolLen + n
}

func (u *SAKUse) len() int {
	if u.Empty {
		return 0
	}
	return sakUseLen
}

// len is the body's length, and whether the wrapped key has the one it needs.
func (d *DistributedSAK) len() (n int, ok bool) {
	if d.PlainText {
		return 0, true
	}
	s, known := sa.SuiteFromID(d.Suite)
	switch {
	case known && len(d.Wrapped) != s.KeyLen()+wrapUnit,
		len(d.Wrapped) < minWrapped, len(d.Wrapped)%wrapUnit != 0:
		return 0, false
	case known && s == sa.GCMAES128:
		return sak128Len, true
	}
	return sakSuiteLen + len(d.Wrapped), true
}

// Append appends the whole frame but for the ICV, which the lengths in it
// count: the caller appends the CMAC, under the ICK, of what Append appended.
// Parameter sets go in ascending order of type; GCM-AES-128 goes as the form
// that names no suite. dst is given back as it is where p.Len() is 0. Nothing
// is allocated if dst has room for p.Len() octets; no slice of p may lie in
// that room.
func Append(dst []byte, p *PDU) []byte {
	n := p.Len()
	if n == 0 {
		return dst
	}
	b := append(dst, p.Dst[:]...)
	b = append(b, p.Src[:]...)
	b = binary.BigEndian.AppendUint16(b, p.EtherType)
	b = append(b, p.EAPOLVersion, EAPOLType)
	b = binary.BigEndian.AppendUint16(b, uint16(n-etherLen-eapolLen))

	b = appendHeader(b, p.Version, p.Priority,
		flag(p.KeyServer, 0x80)|flag(p.Desired, 0x40)|p.Capability&3<<4, basicLen+len(p.CKN))
	b = append(b, p.SCI[:]...)
	b = append(b, p.MI[:]...)
	b = binary.BigEndian.AppendUint32(b, p.MN)
	b = binary.BigEndian.AppendUint32(b, p.Agility)
	b = appendPadded(b, p.CKN)

	if p.HasLive {
		b = appendSet(b, typeLive, p.KeyServerSSCI, p.Live)
	}
	if p.HasPotential {
		b = appendSet(b, typePotential, 0, p.Potential)
	}
	if p.HasUse {
		b = p.Use.append(b)
	}
	if p.HasDistributed {
		b = p.Distributed.append(b)
	}
	if p.DistributedCAK != nil {
		b = appendSet(b, typeDistributedCAK, 0, p.DistributedCAK)
	}
	if p.KMD != nil {
		b = appendSet(b, typeKMD, 0, p.KMD)
	}
	if p.Announcement != nil {
		b = appendSet(b, typeAnnouncement, 0, p.Announcement)
	}
	if p.HasXPN {
		b = appendHeader(b, typeXPN, p.XPN.Suspension, 0, xpnLen)
		b = binary.BigEndian.AppendUint32(b, p.XPN.LatestHigh)
		b = binary.BigEndian.AppendUint32(b, p.XPN.OldHigh)
	}
	if p.ICVIndicator {
		b = appendHeader(b, typeICVIndicator, 0, 0, ICVLen)
	}
	return b
}

func (u *SAKUse) append(b []byte) []byte {
	b = appendHeader(b, typeSAKUse,
		u.Latest.AN<<6|flag(u.Latest.Tx, 0x20)|flag(u.Latest.Rx, 0x10)|
			u.Old.AN&3<<2|flag(u.Old.Tx, 2)|flag(u.Old.Rx, 1),
		flag(u.PlainTx, 0x80)|flag(u.PlainRx, 0x40)|flag(u.DelayProtect, 0x10), u.len())
	if u.Empty {
		return b
	}
	return u.Old.append(u.Latest.append(b))
}

func (k *KeyUse) append(b []byte) []byte {
	id := k.Key.Octets()
	return binary.BigEndian.AppendUint32(append(b, id[:]...), k.LowestPN)
}

func (d *DistributedSAK) append(b []byte) []byte {
	n, _ := d.len()
	b = appendHeader(b, typeDistributedSAK, d.AN<<6|d.ConfidentialityOffset&3<<4, 0, n)
	if d.PlainText {
		return b
	}
	b = binary.BigEndian.AppendUint32(b, d.KN)
	if n != sak128Len {
		b = binary.BigEndian.AppendUint64(b, d.Suite)
	}
	return append(b, d.Wrapped...)
}

func appendSet(b []byte, kind, octet2 byte, body []byte) []byte {
	return appendPadded(appendHeader(b, kind, octet2, 0, len(body)), body)
}

// appendHeader appends a parameter set's header; flags are the high four bits
// of octet 3, n is the body's length without padding.
func appendHeader(b []byte, kind, octet2, flags byte, n int) []byte {
	return append(b, kind, octet2, flags|byte(n>>8), byte(n))
}

func appendPadded(b, body []byte) []byte {
	b = append(b, body...)
	for range padded(len(body)) - len(body) {
		b = append(b, 0)
	}
	return b
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}
