package mka

import (
	"math"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// send makes the participant's next MKPDU.
func (e *Entity) send(now time.Duration, p *participant, out *[]Action) {
	if p.mn == math.MaxUint32 {
		// An MN never repeats under one MI (802.1X 9.4.2).
		if err := p.newMI(&e.cfg); err != nil {
			e.tellSeldom(now, out, NoRandom, Report{CKN: p.ckn, Cause: err.Error()})
			p.helloAt = now + e.cfg.Hello
			p.urgent = false
			return
		}
	}
	p.mn++
	p.live, p.maybe = p.live[:0], p.maybe[:0]
	for i := range p.peers {
		if q := &p.peers[i]; q.live {
			p.live = p.live.Append(q.mi, q.mn)
		} else {
			p.maybe = p.maybe.Append(q.mi, q.mn)
		}
	}
	d := &e.out
	*d = mkpdu.PDU{
		Dst: e.cfg.Destination, Src: e.cfg.SCI.MAC(), EtherType: e.cfg.EtherType, EAPOLVersion: 3,
		Version: ourVersion, Priority: e.cfg.Priority, KeyServer: p.isServer, Desired: true, Capability: e.capability(),
		SCI: e.cfg.SCI, MI: p.mi, MN: p.mn, Agility: mkpdu.Agility, CKN: p.ckn,
		Live: p.live, HasLive: len(p.live) > 0, Potential: p.maybe, HasPotential: len(p.maybe) > 0,
	}
	latest, old := e.latest(p)
	if latest >= 0 {
		d.HasUse = true
		d.Use.DelayProtect = e.cfg.DelayProtect
		d.Use.Latest, d.XPN.LatestHigh = e.keyUse(now, latest)
		if old >= 0 {
			d.Use.Old, d.XPN.OldHigh = e.keyUse(now, old)
		}
		e.offerSAK(now, p, latest, d)
	}
	if d.HasXPN = e.cfg.Suite.XPN() || p.speaksXPN(); d.HasXPN {
		d.XPN.Suspension = e.suspension(now, p)
	}
	p.buf = mkpdu.Append(p.buf[:0], d)
	p.buf = p.icv.Append(p.buf, p.buf)
	p.sent(now, e.cfg.Hello)
	e.counters.Sent++
	*out = append(*out, Action{Kind: Send, Frame: p.buf})
}

// capability is MACsec Capability (802.1X table 11-6): 2 is integrity and
// confidentiality without an offset, 3 any offset.
func (e *Entity) capability() uint8 {
	if e.cfg.ConfidentialityOffset != 0 {
		return 3
	}
	return 2
}

// keyUse describes one AN for SAK Use, with the high word of its lowest PN.
func (e *Entity) keyUse(now time.Duration, an int) (u mkpdu.KeyUse, high uint32) {
	s := &e.table[an]
	pn := max(s.pn.next, 1)
	return mkpdu.KeyUse{
		Key: s.key, AN: uint8(an), LowestPN: uint32(pn),
		Tx: an == e.encoding,
		Rx: s.adopted || s.receiving() || s.encSince > 0,
	}, uint32(pn >> 32)
}

// offerSAK puts the SAK into the MKPDU for as long as a live peer has not
// announced receive on it. It waits until we receive on it ourselves, and
// stops when the members are no longer those that it was made for: who takes
// it reads the SSCIs off the Live Peer List beside it.
func (e *Entity) offerSAK(now time.Duration, p *participant, an int, d *mkpdu.PDU) {
	s := &e.table[an]
	stands := e.pending(an) || an == e.encoding
	if e.farewell.on || !p.isServer || !s.ours || !stands || !s.receiving() || s.key.MI != p.mi || !p.sameMembers(s.members) {
		return
	}
	if e.cfg.Suite.XPN() {
		d.KeyServerSSCI = uint8(s.ssci)
	}
	if p.allReceive(s.key) {
		return
	}
	d.HasDistributed = true
	d.Distributed = mkpdu.DistributedSAK{
		AN: uint8(an), ConfidentialityOffset: e.cfg.offsetCode(), KN: s.key.KN,
		Suite: e.cfg.Suite.ID(), Wrapped: s.wrapped,
	}
}
