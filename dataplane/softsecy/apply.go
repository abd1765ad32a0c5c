package softsecy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Apply carries out one change of the SAs, as sa.ChangeKind describes it. It
// keeps no reference to the SAK. A frame that is being handled in another
// goroutine ends as it began; every later one sees the change.
func (s *SecY) Apply(c sa.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(&c); err != nil {
		return s.fail(c.String(), err)
	}
	s.publish()
	return nil
}

func (s *SecY) apply(c *sa.Change) error {
	an := c.SA.AN
	if c.Kind != sa.DeleteSC && an >= numAN {
		return fmt.Errorf("an %d: not 0 to 3", an)
	}
	switch c.Kind {
	case sa.InstallRx:
		return s.installRx(c.SCI, &c.SA)
	case sa.InstallTx:
		return s.installTx(&c.SA)
	case sa.Encode:
		return s.encode(an, c.SA.Key)
	case sa.DeleteRx:
		if a := s.findRx(c.SCI, an); a != nil && a.key == c.SA.Key {
			s.setRx(c.SCI, an, nil)
		}
		return nil
	case sa.DeleteTx:
		if a := s.txSAs[an]; a != nil && a.key == c.SA.Key {
			s.deleteTx(a)
		}
		return nil
	case sa.DeleteSC:
		delete(s.rxSCs, c.SCI)
		return nil
	case sa.RaiseLowestPN:
		a := s.findRx(c.SCI, an)
		switch {
		case a == nil:
			return ErrNotInstalled
		case a.key != c.SA.Key:
			return inUse(an, a.key)
		}
		a.pn.raise(max(c.SA.PN, 1))
		return nil
	}
	return fmt.Errorf("%w: not a change", errors.ErrUnsupported)
}

func (s *SecY) installRx(sci sa.SCI, n *sa.SA) error {
	if err := s.check(n); err != nil {
		return err
	}
	if a := s.findRx(sci, n.AN); a != nil {
		if a.key != n.Key {
			return inUse(n.AN, a.key)
		}
		return nil
	}
	k, err := NewKey(Params{Suite: s.c.Suite, SAK: n.SAK, Offset: s.c.Offset})
	if err != nil {
		return err
	}
	a := &rxSA{saKey: newSAKey(k, sci, n)}
	a.pn.start(max(n.PN, 1))
	s.setRx(sci, n.AN, a)
	return nil
}

func (s *SecY) findRx(sci sa.SCI, an uint8) *rxSA {
	if sc := s.rxSCs[sci]; sc != nil {
		return sc.sa[an]
	}
	return nil
}

// setRx replaces the SC, which frames may be looking at, by one with a at an.
func (s *SecY) setRx(sci sa.SCI, an uint8, a *rxSA) {
	sc := &rxSC{sci: sci, counts: new(scCounts)}
	if old := s.rxSCs[sci]; old != nil {
		*sc = *old
	}
	sc.sa[an] = a
	s.rxSCs[sci] = sc
}

func (s *SecY) installTx(n *sa.SA) error {
	if err := s.check(n); err != nil {
		return err
	}
	for _, a := range s.txSAs {
		switch {
		case a == nil:
		case a.key == n.Key && a.an == n.AN:
			return nil
		case a.key == n.Key:
			// The AN is not part of the nonce: twice the key, twice the nonces.
			return fmt.Errorf("key %s is %w at an %d", n.Key, ErrKeyInUse, a.an)
		case a.an == n.AN:
			return inUse(n.AN, a.key)
		}
	}
	if slices.Contains(s.spent, n.Key) {
		return fmt.Errorf("key %s %w", n.Key, ErrKeySpent)
	}
	k, err := NewKey(Params{Suite: s.c.Suite, SAK: n.SAK, Offset: s.c.Offset})
	if err != nil {
		return err
	}
	a := &txSA{saKey: newSAKey(k, s.c.SCI, n), an: n.AN}
	a.pn.last = lastPN(s.c.Suite)
	a.pn.used.Store(max(n.PN, 1) - 1)
	s.txSAs[n.AN] = a
	return nil
}

func (s *SecY) encode(an uint8, key sa.KeyID) error {
	a := s.txSAs[an]
	switch {
	case a == nil:
		return ErrNotInstalled
	case a.key != key:
		return inUse(an, a.key)
	case a.pn.next() == 0:
		return ErrExhausted
	}
	s.encoding = a
	return nil
}

func (s *SecY) deleteTx(a *txSA) {
	if s.encoding == a {
		s.encoding = nil
	}
	s.txSAs[a.an] = nil
	if len(s.spent) == maxSpent {
		s.spent = slices.Delete(s.spent, 0, 1)
	}
	s.spent = append(s.spent, a.key)
}

func (s *SecY) check(n *sa.SA) error {
	switch {
	case n.PN > lastPN(s.c.Suite):
		return fmt.Errorf("pn %d: %s has 32 bits", n.PN, s.c.Suite)
	case s.c.Suite.XPN() && n.SSCI == 0:
		return fmt.Errorf("no SSCI: %s needs one", s.c.Suite)
	}
	return nil
}

func inUse(an uint8, by sa.KeyID) error {
	return fmt.Errorf("an %d is %w by key %s", an, ErrKeyInUse, by)
}
