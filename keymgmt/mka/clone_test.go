package mka

import (
	"io"
	"maps"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// clone is an Entity that goes its own way from here, for the explorer. None
// of its SecY's changes may be under way.
func (e *Entity) clone(rand io.Reader) *Entity {
	if e.busy || len(e.changes) > 0 {
		panic("cloned in the middle of a change")
	}
	c := *e
	c.cfg.Rand = rand
	c.changes, c.pdu, c.out = nil, mkpdu.PDU{}, mkpdu.PDU{}
	c.used = slices.Clone(e.used)
	c.participants = make([]*participant, len(e.participants))
	for i, p := range e.participants {
		c.participants[i] = p.clone()
	}
	twin := func(p *participant) *participant {
		if i := slices.Index(e.participants, p); i >= 0 {
			return c.participants[i]
		}
		return nil
	}
	c.obeyed = twin(e.obeyed)
	for an := range c.table {
		s := &c.table[an]
		s.owner = twin(s.owner)
		s.rx = slices.Clone(s.rx)
		s.members = slices.Clone(s.members)
		if s.sak != nil {
			s.sak = s.sak.Clone()
		}
	}
	return &c
}

func (p *participant) clone() *participant {
	c := *p
	c.cak, c.kek = p.cak.Clone(), p.kek.Clone()
	c.peers, c.tombs = slices.Clone(p.peers), slices.Clone(p.tombs)
	c.live, c.maybe, c.buf = nil, nil, nil
	c.offer.live = slices.Clone(p.offer.live)
	c.offer.dist.Wrapped = c.offer.wrapped[:len(p.offer.dist.Wrapped)]
	return &c
}

func (f *fakeSecY) clone() *fakeSecY {
	c := *f
	c.tx, c.ever, c.rx = maps.Clone(f.tx), maps.Clone(f.ever), maps.Clone(f.rx)
	for sci, sc := range c.rx {
		c.rx[sci] = maps.Clone(sc)
	}
	return &c
}
