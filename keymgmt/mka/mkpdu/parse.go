package mkpdu

import (
	"encoding/binary"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Octets of the parts of a frame.
const (
	etherLen    = 14
	eapolLen    = 4
	minBody     = 32 // 802.1X-2020 11.11.2
	setLen      = 4  // a parameter set's header
	basicLen    = 28 // Basic Parameter Set's body before the CKN
	keyUseLen   = 20 // key identifier 16, lowest PN 4
	sakUseLen   = 2 * keyUseLen
	sak128Len   = 28 // KN 4, wrapped SAK 24
	sakSuiteLen = 12 // KN 4, cipher suite 8, before the wrapped SAK
	minWrapped  = 24
	wrapUnit    = 8
	xpnLen      = 8
)

// Parameter set types (802.1X-2020 table 11-6).
const (
	typeLive           = 1
	typePotential      = 2
	typeSAKUse         = 3
	typeDistributedSAK = 4
	typeDistributedCAK = 5
	typeKMD            = 6
	typeAnnouncement   = 7
	typeXPN            = 8
	typeICVIndicator   = 255
)

// Parse decodes a whole Ethernet frame without VLAN tag into p, which it
// resets. Octets after the EAPOL body are padding. The destination and the
// EtherType are not judged. Parameter sets may have any order; unknown ones
// are skipped. An error is an Error; p then has what came before it, which is
// for explaining the frame only. Nothing is allocated: slices of p are slices
// of frame, their capacity no more than their length.
func Parse(frame []byte, p *PDU) error {
	*p = PDU{}
	if len(frame) < etherLen+eapolLen {
		return FrameShort
	}
	copy(p.Dst[:], frame)
	copy(p.Src[:], frame[6:])
	p.EtherType = binary.BigEndian.Uint16(frame[12:])
	p.EAPOLVersion = frame[14]
	// A version above ours is decoded as ours (11.4).
	if p.EAPOLVersion == 0 {
		return BadEAPOLVersion
	}
	if frame[15] != EAPOLType {
		return NotMKA
	}
	n := int(binary.BigEndian.Uint16(frame[16:]))
	body := frame[etherLen+eapolLen:]
	switch {
	case n > len(body):
		return EAPOLTruncated
	case n < minBody:
		return BodyShort
	case n%4 != 0:
		return BodyNotMultiple
	}
	body = body[:n]
	signed := etherLen + eapolLen + n - ICVLen
	p.Signed = frame[:signed:signed]
	p.ICV = body[n-ICVLen : n : n]
	rest, err := p.parseBasic(body[:n-ICVLen])
	if err != 0 {
		return err
	}
	if err := p.parseSets(rest); err != 0 {
		return err
	}
	return nil
}

// parseBasic decodes the Basic Parameter Set and gives what follows it.
func (p *PDU) parseBasic(b []byte) (rest []byte, err Error) {
	p.Version = b[0]
	p.Priority = b[1]
	p.KeyServer = b[2]&0x80 != 0
	p.Desired = b[2]&0x40 != 0
	p.Capability = b[2] >> 4 & 3
	n := bodyLen(b)
	if p.Version == 0 {
		return nil, BadVersion
	}
	if n <= basicLen || n > basicLen+MaxCKN {
		return nil, BasicLength
	}
	if setLen+padded(n) > len(b) {
		return nil, BasicOverrun
	}
	p.SCI = sa.SCI(b[4:])
	p.MI = sa.MI(b[12:])
	p.MN = binary.BigEndian.Uint32(b[24:])
	p.Agility = binary.BigEndian.Uint32(b[28:])
	p.CKN = b[setLen+basicLen : setLen+n : setLen+n]
	// The agility names the ICV's algorithm and so its length: with another
	// one, nothing after the CKN can be trusted to be where it seems.
	if p.Agility != Agility {
		return nil, BadAgility
	}
	return b[setLen+padded(n):], 0
}

// parseSets decodes the parameter sets after the first.
func (p *PDU) parseSets(b []byte) Error {
	var seen [typeXPN + 1]bool
	for len(b) > 0 {
		// b is a multiple of 4 octets: a header always fits.
		kind, n := b[0], bodyLen(b)
		if kind == typeICVIndicator {
			// Its body is the ICV, which has been cut off already.
			if n != ICVLen || len(b) != setLen {
				return BadICVIndicator
			}
			p.ICVIndicator = true
			return 0
		}
		if setLen+padded(n) > len(b) {
			return SetOverrun
		}
		if kind == 0 || kind > typeXPN {
			p.Unknown++
		} else {
			if seen[kind] {
				return DuplicateSet
			}
			seen[kind] = true
			if err := p.parseSet(kind, b[:setLen], b[setLen:setLen+n:setLen+n]); err != 0 {
				return err
			}
		}
		b = b[setLen+padded(n):]
	}
	return 0
}

func (p *PDU) parseSet(kind byte, h, body []byte) Error {
	switch kind {
	case typeLive, typePotential:
		if len(body)%peerLen != 0 {
			return PeerListLength
		}
		if kind == typeLive {
			p.Live, p.HasLive, p.KeyServerSSCI = body, true, h[1]
		} else {
			p.Potential, p.HasPotential = body, true
		}
	case typeSAKUse:
		return p.parseSAKUse(h, body)
	case typeDistributedSAK:
		return p.parseDistributedSAK(h, body)
	case typeDistributedCAK:
		p.DistributedCAK = body
	case typeKMD:
		p.KMD = body
	case typeAnnouncement:
		p.Announcement = body
	case typeXPN:
		if !p.fits(len(body), xpnLen) {
			return XPNLength
		}
		p.HasXPN = true
		p.XPN.Suspension = h[1]
		p.XPN.LatestHigh = binary.BigEndian.Uint32(body)
		p.XPN.OldHigh = binary.BigEndian.Uint32(body[4:])
	}
	return 0
}

func (p *PDU) parseSAKUse(h, body []byte) Error {
	u := &p.Use
	u.Latest.AN, u.Latest.Tx, u.Latest.Rx = h[1]>>6, h[1]&0x20 != 0, h[1]&0x10 != 0
	u.Old.AN, u.Old.Tx, u.Old.Rx = h[1]>>2&3, h[1]&2 != 0, h[1]&1 != 0
	u.PlainTx, u.PlainRx = h[2]&0x80 != 0, h[2]&0x40 != 0
	u.DelayProtect = h[2]&0x10 != 0
	if len(body) == 0 {
		u.Empty = true
	} else {
		if !p.fits(len(body), sakUseLen) {
			return SAKUseLength
		}
		u.Latest.parseKey(body)
		u.Old.parseKey(body[keyUseLen:])
	}
	p.HasUse = true
	return 0
}

func (k *KeyUse) parseKey(b []byte) {
	k.Key = sa.KeyIDFromOctets([16]byte(b))
	k.LowestPN = binary.BigEndian.Uint32(b[16:])
}

func (p *PDU) parseDistributedSAK(h, body []byte) Error {
	d := &p.Distributed
	d.AN, d.ConfidentialityOffset = h[1]>>6, h[1]>>4&3
	switch {
	case len(body) == 0:
		d.PlainText = true
	case len(body) == sak128Len:
		d.KN = binary.BigEndian.Uint32(body)
		d.Suite = sa.GCMAES128.ID()
		d.Wrapped = body[4:]
	case len(body) < sakSuiteLen+minWrapped || (len(body)-sakSuiteLen)%wrapUnit != 0:
		return DistributedSAKLength
	default:
		d.KN = binary.BigEndian.Uint32(body)
		d.Suite = binary.BigEndian.Uint64(body[4:])
		d.Wrapped = body[sakSuiteLen:]
		// An unknown suite is for the caller to refuse by its name.
		if s, ok := sa.SuiteFromID(d.Suite); ok && len(d.Wrapped) != s.KeyLen()+wrapUnit {
			return DistributedSAKLength
		}
	}
	p.HasDistributed = true
	return 0
}

// fits tells whether a body of n octets is one that is specified to have
// want. A version above ours may have appended to it.
func (p *PDU) fits(n, want int) bool {
	return n == want || n > want && p.Version > Version
}

// bodyLen reads the 12-bit length of a parameter set's header.
func bodyLen(h []byte) int { return int(h[2]&0x0f)<<8 | int(h[3]) }

// padded rounds a body's length up to whole words: the padding is sent and
// not counted.
func padded(n int) int { return (n + 3) &^ 3 }
