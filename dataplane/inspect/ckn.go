package inspect

import (
	"slices"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// ckn is what was said under one CKN, whether its CAK is known or not: the
// matter of the verdict.
type ckn struct {
	octets    []byte
	known     bool // a CAK was given
	malformed int
	speakers  []*speaker // in the order of appearance
	// The latest Distributed SAK, nil if there was none.
	latest *distribution
	// used is the key that all present members use, since frame usedFrom.
	used     sa.KeyID
	usedFrom int
}

// distribution is a Distributed SAK set as the verdict needs it.
type distribution struct {
	key       sa.KeyID
	server    sa.SCI
	an        uint8
	suite     string
	supported bool // a suite of 802.1AE-2018
	plainText bool
	frame     int
	to        []sa.MI
}

// speaker is one source of MKPDUs under a CKN.
type speaker struct {
	sci      sa.SCI
	src      [6]byte
	ok, bad  int
	ca       *ca // whose ICK made its ICVs
	last     time.Time
	mi       sa.MI
	mn       uint32
	restarts int // changes of MI
	replays  int

	version, priority uint8
	keyServer         bool
	desired           bool
	capability        uint8
	live, potential   []sa.MI
	use               mkpdu.SAKUse
	received          map[sa.KeyID]bool // keys that it announced to receive with
	frames            int
}

// cknOf gives the notes on a CKN, which it makes; nil if there are too many
// already, or no CKN.
func (in *Inspector) cknOf(octets []byte) *ckn {
	if c := in.ckns[string(octets)]; c != nil || len(octets) == 0 || len(in.order) >= maxTallies {
		return c
	}
	c := &ckn{octets: slices.Clone(octets)}
	for _, a := range in.cas {
		c.known = c.known || a.ckn == string(octets)
	}
	in.ckns[string(octets)] = c
	in.order = append(in.order, c)
	return c
}

// heard notes a well-formed MKPDU.
func (c *ckn) heard(in *Inspector, r *Record, a *ca, p *mkpdu.PDU, icv string) {
	s := c.speaker(p)
	if s == nil {
		return
	}
	if icv == ICVBad {
		s.bad++
		if s.ok > 0 {
			return // a forger says nothing about a member that proved itself
		}
	} else if icv == ICVOK {
		s.ok++
		s.ca = a
	}
	switch {
	case s.frames > 0 && s.mi != p.MI:
		s.restarts++
		s.received = map[sa.KeyID]bool{}
		if r.Hint == "" {
			r.Hint = "this member has a new MI: it restarted"
		}
	case s.frames > 0 && p.MN <= s.mn:
		s.replays++
		if r.Hint == "" {
			r.Hint = "MN is not greater than the last of this MI: the frame was replayed, reordered or captured twice"
		}
		s.frames++
		return
	}
	s.frames++
	s.last, s.mi, s.mn, s.src = in.last, p.MI, p.MN, p.Src
	s.version, s.priority, s.keyServer = p.Version, p.Priority, p.KeyServer
	s.desired, s.capability = p.Desired, p.Capability
	s.live, s.potential = mis(s.live[:0], p.Live), mis(s.potential[:0], p.Potential)
	if d := &p.Distributed; p.HasDistributed {
		id := sa.KeyID{MI: p.MI, KN: d.KN}
		if c.latest == nil || c.latest.key != id || c.latest.plainText != d.PlainText {
			_, supported := sa.SuiteFromID(d.Suite)
			c.latest = &distribution{
				key: id, server: p.SCI, an: d.AN, suite: suiteName(d.Suite), supported: supported,
				plainText: d.PlainText, frame: r.Frame,
			}
		}
		c.latest.to = memberMIs(p)
	}
	s.use = mkpdu.SAKUse{Empty: true}
	if p.HasUse {
		s.use = p.Use
		for _, u := range []*mkpdu.KeyUse{&p.Use.Latest, &p.Use.Old} {
			if u.Rx && !u.Key.IsZero() && len(s.received) < maxTallies {
				s.received[u.Key] = true
			}
		}
	}
	if key := inUse(c.present(in.last)); key != c.used {
		c.used, c.usedFrom = key, r.Frame
	}
}

// present are the speakers that were heard within MKA's life time of end.
func (c *ckn) present(end time.Time) (list []*speaker) {
	for _, s := range c.speakers {
		if end.Sub(s.last) <= life {
			list = append(list, s)
		}
	}
	return list
}

// inUse is the key that all of two members or more receive and transmit with,
// zero if there is none.
func inUse(present []*speaker) sa.KeyID {
	if len(present) < 2 {
		return sa.KeyID{}
	}
	for _, k := range []sa.KeyID{present[0].use.Latest.Key, present[0].use.Old.Key} {
		all := true
		for _, s := range present {
			all = all && s.uses(k)
		}
		if all {
			return k
		}
	}
	return sa.KeyID{}
}

func (c *ckn) speaker(p *mkpdu.PDU) *speaker {
	for _, s := range c.speakers {
		if s.sci == p.SCI {
			return s
		}
	}
	if len(c.speakers) >= maxTallies {
		return nil
	}
	s := &speaker{sci: p.SCI, src: p.Src, received: map[sa.KeyID]bool{}}
	c.speakers = append(c.speakers, s)
	return s
}

// uses tells whether the speaker announced last to transmit and receive with
// the key.
func (s *speaker) uses(key sa.KeyID) bool {
	for _, u := range []*mkpdu.KeyUse{&s.use.Latest, &s.use.Old} {
		if !key.IsZero() && u.Key == key && u.Tx && u.Rx {
			return true
		}
	}
	return false
}

func mis(to []sa.MI, l mkpdu.PeerList) []sa.MI {
	for i := range l.Len() {
		mi, _ := l.At(i)
		to = append(to, mi)
	}
	return to
}
