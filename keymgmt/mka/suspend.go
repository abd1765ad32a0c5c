package mka

import (
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// MKA suspension (802.1X-2020 9.18, in-service upgrades): a member's MKA goes
// away for a while, its SecY goes on. The XPN set of an MKPDU has the time in
// seconds. From the key server it is the suspension; from another member it is
// a request, which the key server grants by saying the same. Meanwhile peers
// keep the member live, keep SAs and SCs, and no SAK is made or put in use that
// the member does not have.
//
// The standard has it for XPN suites, whose PNs last that long. Here the XPN set
// goes out with any suite to peers that speak its version of MKA: one that never
// sends the set does not know suspension, and is not told of one.

const (
	// SuspendFor is what we ask for: nearly MaxSuspension, and a hello time and
	// more before its end to be heard again. Peers add their life time.
	SuspendFor = 110 * time.Second
	// suspendWithin bounds how long a stop waits for its suspension to be heard:
	// a service manager and an upgrade wait for it.
	suspendWithin = time.Second
	// suspendAgain is the time between two announcements.
	suspendAgain = 200 * time.Millisecond
	// xpnVersion is the first MKA version of which every implementation knows the
	// XPN set (802.1X-2020 11.11): version 2 has it too, but not all that call
	// themselves so.
	xpnVersion = 3
)

// farewell is our own suspension as it is announced.
type farewell struct {
	on    bool
	until time.Duration // when the Entity closes, heard or not
	again time.Duration // when it is announced next
}

// leaveFor begins the suspension: it is announced on every CKN that has a live
// peer that supports it, if there is a SAK in use to be kept.
func (e *Entity) leaveFor(now time.Duration, out *[]Action) {
	e.farewell = farewell{on: true, until: now + suspendWithin, again: now}
	asked := false
	for _, p := range e.participants {
		p.announced = 0
		if p.suspendable(now) && e.secured {
			p.announced = p.mn + 1
			asked = true
		}
	}
	if !asked {
		e.farewell.until = now
	}
	e.sayFarewell(now, out)
}

// sayFarewell announces the suspension again where it has not been heard, and
// closes the Entity when it has, or when the time is over. Nothing else happens
// any more: what is on its way stays where it is, as when the process dies.
func (e *Entity) sayFarewell(now time.Duration, out *[]Action) {
	f := &e.farewell
	deaf := false
	for _, p := range e.participants {
		if p.announced == 0 || p.heardFarewell(now) {
			continue
		}
		deaf = true
		if now >= f.again && now < f.until {
			e.send(now, p, out)
		}
	}
	if deaf && now < f.until {
		if now >= f.again {
			f.again = now + suspendAgain
		}
		return
	}
	for _, p := range e.participants {
		if p.announced > 0 {
			cause := "its peers keep the SAs for " + SuspendFor.String()
			if !p.heardFarewell(now) {
				cause = "for " + SuspendFor.String() + "; not all peers have confirmed it"
			}
			e.tell(now, out, Report{Kind: Suspended, CKN: p.ckn, Cause: cause})
		}
	}
	e.close()
	*out = append(*out, Action{Kind: Closed})
}

// farewellStep takes an event while the suspension is announced. That a change
// is done is still true; what comes from outside can only be its confirmation.
func (e *Entity) farewellStep(now time.Duration, ev Event, out *[]Action) {
	switch ev.Kind {
	case Received:
		if !e.receive(now, ev.Frame, out) && now < e.Deadline() {
			return
		}
	case ChangeDone:
		e.changeDone(now, ev.Err, out)
	case Close:
		e.close()
		return
	}
	e.sayFarewell(now, out)
}

// suspendable tells whether a live peer is there that supports suspension. One
// that has suspended MKA itself is not.
func (p *participant) suspendable(now time.Duration) bool {
	for i := range p.peers {
		if p.peers[i].suspendable(now) {
			return true
		}
	}
	return false
}

func (q *peer) suspendable(now time.Duration) bool { return q.live && q.xpn && q.suspended <= now }

// heardFarewell tells whether every peer that suspendable means has listed an
// MKPDU that announced our suspension.
func (p *participant) heardFarewell(now time.Duration) bool {
	for i := range p.peers {
		if q := &p.peers[i]; q.suspendable(now) && q.lists < p.announced {
			return false
		}
	}
	return true
}

// suspension is what our XPN set says, in seconds: of our own, or, from the key
// server, that of a member which has asked for one.
func (e *Entity) suspension(now time.Duration, p *participant) uint8 {
	if e.farewell.on {
		return uint8(SuspendFor / time.Second)
	}
	if !p.isServer {
		return 0
	}
	var until time.Duration
	for i := range p.peers {
		if q := &p.peers[i]; q.live {
			until = max(until, q.suspended)
		}
	}
	return uint8(max(0, until-now+time.Second-1) / time.Second)
}

// speaksXPN tells whether an XPN set means something to a live peer, whatever
// the suite.
func (p *participant) speaksXPN() bool {
	for i := range p.peers {
		if q := &p.peers[i]; q.live && (q.xpn || q.version >= xpnVersion) {
			return true
		}
	}
	return false
}

// suspend honours a peer's MKA suspension: it stays live, and no SAK is made,
// for that long. Its end is an MKPDU that does not say so.
func (e *Entity) suspend(now time.Duration, p *participant, q *peer, out *[]Action) {
	d := &e.pdu
	if e.farewell.on && q.lists >= p.announced {
		return // the key server grants ours
	}
	if !d.HasXPN || d.XPN.Suspension == 0 {
		if q.suspendedFrom > 0 {
			q.suspended, q.suspendedFrom = 0, 0
			q.expires = min(q.expires, now+e.cfg.Life)
		}
		e.resumed(now, q)
		return
	}
	if q.suspendedFrom == 0 {
		if e.grants(p, q, now+time.Duration(d.XPN.Suspension)*time.Second) {
			return
		}
		q.suspendedFrom = max(now, 1)
		p.hurry()
		e.tell(now, out, Report{Kind: SuspendedBy, CKN: p.ckn, SCI: q.sci})
	}
	// However often it says so, MaxSuspension in all: meanwhile PNs run out.
	until := min(now+time.Duration(d.XPN.Suspension)*time.Second, q.suspendedFrom+MaxSuspension)
	if until <= now {
		return
	}
	q.suspended = until
	q.expires = max(q.expires, until+e.cfg.Life)
}

// grants tells whether a key server only says after another member that this one
// suspends MKA: it does not go away itself.
func (e *Entity) grants(p *participant, q *peer, until time.Duration) bool {
	if !q.keyServer {
		return false
	}
	for i := range p.peers {
		if o := &p.peers[i]; o != q && o.live && o.suspended+e.cfg.Hello >= until {
			return true
		}
	}
	return false
}

// resumed ends the suspension of a member on other CKNs: it is back, and may
// not have their CAKs any more. MKPDUs of before it went may come late.
func (e *Entity) resumed(now time.Duration, q *peer) {
	for _, p := range e.participants {
		for i := range p.peers {
			o := &p.peers[i]
			if o.sci == q.sci && o.suspended > now && now > o.suspendedFrom+e.stale() {
				o.suspended, o.suspendedFrom = 0, 0
				o.expires = min(o.expires, now+e.cfg.Life)
			}
		}
	}
}

// suspended tells whether a live peer has suspended MKA.
func (e *Entity) suspended(now time.Duration) bool {
	for _, p := range e.participants {
		for i := range p.peers {
			if q := &p.peers[i]; q.live && q.suspended > now {
				return true
			}
		}
	}
	return false
}

// listed is the MN of ours that an MKPDU lists; false if that is no recent one.
func listed(d *mkpdu.PDU, p *participant) (mn uint32, ok bool) {
	mn, ok = d.Live.Find(p.mi)
	if !ok {
		mn, ok = d.Potential.Find(p.mi)
	}
	return mn, ok && p.recent(mn)
}
