package ipsec

import (
	"errors"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/linux/xfrm"
)

const (
	// orphaned is how long SAs of a charon that is gone are taken to carry
	// traffic: the next one has its own well before, or the peer does not answer.
	orphaned = 30 * time.Second
	// sweepAfter is how long the new SAs must have been there.
	sweepAfter = 10 * time.Second
)

// kernel lists the kernel's SAs of a member: of its XFRM interface, or in
// transport mode between both hosts.
func (s *Session) kernel(m *member) (own []xfrm.SA, err error) {
	var all []xfrm.SA
	if err := s.c.o.NS.Do(func() (err error) { all, err = xfrm.SAs(); return err }); err != nil {
		return nil, err
	}
	id := overlay.IfID(s.name, m.n)
	for _, sa := range all {
		ends := sa.Src == s.t.Local && sa.Dst == s.t.Remote || sa.Src == s.t.Remote && sa.Dst == s.t.Local
		if sa.SPI != 0 && sa.Proto == 50 && ends && (!s.t.Transport() && sa.IfID == id || s.t.Transport() && sa.Transport && sa.IfID == 0) {
			own = append(own, sa)
		}
	}
	return own, nil
}

// keep finds out, while charon is gone, whether the kernel goes on for it: with
// SAs of both directions.
func (s *Session) keep(now time.Time, m *member) {
	if s.place.Userspace {
		return // charon did it itself
	}
	sas, err := s.kernel(m)
	if err != nil {
		s.log.Warn("the SAs of a charon that is gone are not known", "error", err)
		return
	}
	in := slices.ContainsFunc(sas, func(sa xfrm.SA) bool { return sa.Dst == s.t.Local })
	out := slices.ContainsFunc(sas, func(sa xfrm.SA) bool { return sa.Dst == s.t.Remote })
	if in && out {
		m.kept, m.orphans = now.Add(orphaned), sas
	}
}

// sweep takes away what a charon before this one left in the kernel, when this
// one has SAs of its own for a while.
func (s *Session) sweep(now time.Time, m *member) {
	if len(m.orphans) == 0 || !m.up() || now.Sub(m.came) < sweepAfter {
		return
	}
	known := make(map[uint32]bool)
	for _, sa := range m.sas {
		for _, c := range sa.Children {
			known[c.SPIIn], known[c.SPIOut] = true, true
		}
	}
	s.loaded, s.retry = false, time.Time{} // INITIAL_CONTACT is said again
	orphans := slices.DeleteFunc(m.orphans, func(sa xfrm.SA) bool { return known[sa.SPI] })
	m.orphans = nil
	if err := s.c.o.NS.Do(func() error { return deleteAll(orphans) }); err != nil {
		s.log.Warn("SAs of a charon that is gone stay in the kernel until they end", "error", err)
	}
}

// clear takes away what the kernel has of a tunnel whose charon is gone.
func (s *Session) clear() error {
	if s.place.Userspace {
		return nil
	}
	var err error
	for _, m := range s.members {
		sas, e := s.kernel(m)
		err = errors.Join(err, e, s.c.o.NS.Do(func() error {
			e := deleteAll(sas)
			if !s.t.Transport() {
				e = errors.Join(e, xfrm.DeletePolicies(overlay.IfID(s.name, m.n)))
			}
			return e
		}))
	}
	return err
}

func deleteAll(sas []xfrm.SA) (err error) {
	for _, sa := range sas {
		err = errors.Join(err, xfrm.Delete(sa))
	}
	return err
}
