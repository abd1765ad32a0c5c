package lab

import (
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/tests/leak"
)

// SAKs are those that were distributed on the wire, by one who knows the CAKs.
type SAKs struct {
	taps []*Tap

	mu   sync.Mutex
	keks map[string]*secret.Key // by CKN, its octets
	saks map[string]leak.Secret // by key identifier, as status has it
	err  error
}

// LearnSAKs begins to listen at the ports of all appliances.
func (l *Lab) LearnSAKs() (*SAKs, error) {
	s := &SAKs{keks: map[string]*secret.Key{}, saks: map[string]leak.Secret{}}
	for _, a := range l.Appliances {
		t, err := Listen(a, Device, s.hear)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.taps = append(s.taps, t)
	}
	return s, nil
}

// Know takes a CAK, before it is used.
func (s *SAKs) Know(k Key) error {
	ckn, err := hex.DecodeString(k.CKN)
	if err != nil {
		return fmt.Errorf("CKN %s: %w", k.CKN, err)
	}
	octets, err := hex.DecodeString(k.CAK)
	if err != nil {
		return fmt.Errorf("the CAK of CKN %s is not hex", k.CKN)
	}
	cak := secret.New(octets)
	defer cak.Zero()
	kek, err := kdf.KEK(cak, ckn)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keks[string(ckn)] = kek
	return nil
}

func (s *SAKs) hear(f Frame) {
	var p mkpdu.PDU
	if f.EtherType() != mkpdu.EtherType || mkpdu.Parse(f.Octets, &p) != nil || !p.HasDistributed || p.Distributed.PlainText {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kek, id := s.keks[string(p.CKN)], sa.KeyID{MI: p.MI, KN: p.Distributed.KN}
	if kek == nil {
		s.err = fmt.Errorf("a SAK is distributed under CKN %x, whose CAK is not known", p.CKN)
		return
	}
	sak, err := kdf.Unwrap(kek, p.Distributed.Wrapped)
	if err != nil {
		s.err = fmt.Errorf("SAK %s under CKN %x: %w", id, p.CKN, err)
		return
	}
	defer sak.Zero()
	s.saks[id.String()] = leak.Secret{Name: "SAK " + id.String(), Octets: append([]byte(nil), sak.Bytes()...)}
}

// All are the SAKs so far, by key identifier. The error is of one that could
// not be learned.
func (s *SAKs) All() (map[string]leak.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]leak.Secret, len(s.saks))
	for id, k := range s.saks {
		all[id] = k
	}
	return all, s.err
}

// Close stops listening.
func (s *SAKs) Close() {
	for _, t := range s.taps {
		t.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keks {
		k.Zero()
	}
}
