package ipsec

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/early"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/linux/xfrm"
)

const (
	// linger is how long an IKE_SA is kept that another has replaced: packets
	// are under way under it, and the word of its end may overtake them.
	linger = 1500 * time.Millisecond
	// twins is how long two IKE_SAs of one member are left alone that both ends
	// began at once.
	twins = 15 * time.Second
)

// renew makes the IKE_SA of a member anew, beside what is there: with IKE_AUTH,
// and a CHILD_SA.
func (s *Session) renew(m *member) error {
	s.catch(m)
	m.old = nil
	for _, sa := range m.sas {
		m.old = append(m.old, sa.ID)
	}
	m.renewed, m.replaced = time.Now(), time.Time{}
	return s.client.Initiate(m.name, m.name)
}

// replace ends what an IKE_SA that we made anew has replaced.
func (s *Session) replace(now time.Time, m *member) (next time.Time) {
	s.release(m)
	if len(m.old) == 0 {
		return time.Time{}
	}
	switch over := m.renewed.Add(attempt); {
	case !m.newer() && now.Before(over):
		return over
	case !m.newer():
		m.old = nil // it did not come about
		m.early.Close()
		m.early = nil
		return time.Time{}
	case m.replaced.IsZero():
		m.replaced = now
		return now.Add(linger)
	case now.Sub(m.replaced) < linger:
		return m.replaced.Add(linger)
	}
	for _, id := range m.old {
		if m.has(id) {
			s.end(m, id)
		}
	}
	m.old = nil
	return time.Time{}
}

// part ends one of two IKE_SAs that both ends began at once: both ends choose
// the same, by the initiator's SPI.
func (s *Session) part(now time.Time, m *member) {
	var up []strongswan.IKESA
	for _, sa := range m.sas {
		if sa.Up() && len(sa.Children) > 0 {
			up = append(up, sa)
		}
	}
	if len(up) < 2 || len(m.old) > 0 {
		m.two = time.Time{}
		return
	}
	if m.two.IsZero() {
		m.two = now
	}
	if now.Sub(m.two) < twins {
		return
	}
	least := up[0]
	for _, sa := range up[1:] {
		if sa.SPI < least.SPI {
			least = sa
		}
	}
	m.two = time.Time{}
	s.end(m, least.ID)
}

func (s *Session) end(m *member, id uint32) {
	if err := s.client.TerminateID(id); err != nil {
		s.log.Warn("an IKE_SA that is replaced does not end", "connection", m.name, "ike", id, "error", err)
	}
}

// catch begins to keep what comes before its SA.
func (s *Session) catch(m *member) {
	m.early.Close()
	var known []uint32
	for _, m := range s.members {
		for _, sa := range m.sas {
			for _, c := range sa.Children {
				known = append(known, c.SPIIn)
			}
		}
		for _, sa := range m.orphans {
			known = append(known, sa.SPI)
		}
	}
	var err error
	if m.early, err = early.Open(s.c.o.NS, s.t.Device, s.t.Remote, s.t.Local, known); err != nil {
		s.log.Warn("some packets may be lost", "error", err)
	}
}

// release hands over what came early once its SA is there.
func (s *Session) release(m *member) {
	if m.early == nil {
		return
	}
	var spis []uint32
	for _, sa := range m.sas {
		for _, c := range sa.Children {
			if c.Installed() {
				spis = append(spis, c.SPIIn)
			}
		}
	}
	n, err := m.early.Release(spis, s.received())
	if !s.place.Userspace {
		m.handed += uint64(n)
	}
	if n > 0 || err != nil {
		s.log.Debug("early packets are handed over", "connection", m.name, "packets", n, "error", err)
	}
	if m.newer() {
		m.early.Close()
		m.early = nil
	}
}

// received tells which packets the kernel's SAs have had; nil: not known.
func (s *Session) received() func(spi, sequence uint32) bool {
	if s.place.Userspace {
		return nil // charon knows its own
	}
	var had map[uint32]xfrm.SA // by SPI; asked for when it is wanted
	return func(spi, sequence uint32) bool {
		if had == nil {
			had = make(map[uint32]xfrm.SA)
			var all []xfrm.SA
			if err := s.c.o.NS.Do(func() (err error) { all, err = xfrm.SAs(); return err }); err != nil {
				s.log.Debug("what came early may come twice, which the kernel drops", "error", err)
			}
			for _, sa := range all {
				if sa.Dst == s.t.Local && sa.Proto == unix.IPPROTO_ESP {
					had[sa.SPI] = sa
				}
			}
		}
		sa, there := had[spi]
		return there && sa.Received(sequence)
	}
}

// newer tells whether what carries the traffic is newer than what is replaced.
func (m *member) newer() bool {
	ike, _, ok := m.child()
	return ok && !slices.Contains(m.old, ike.ID)
}
