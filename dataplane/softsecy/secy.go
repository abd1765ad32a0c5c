package softsecy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

var (
	// ErrKeyInUse is the refusal of an AN or a key identifier that another SA
	// has.
	ErrKeyInUse = errors.New("in use")
	// ErrKeySpent is the refusal to transmit with a key identifier that was
	// installed before: from PN 1 it would use its nonces again.
	ErrKeySpent = errors.New("was installed before; a fresh SAK is needed")
	// ErrNotInstalled is the refusal to change an SA that is not there.
	ErrNotInstalled = errors.New("not installed")
	// ErrExhausted is the refusal to encode with an SA whose PNs are used up.
	ErrExhausted = errors.New("packet numbers exhausted")
	// ErrMustSecure is the refusal of the Clear state by a must-secure port.
	ErrMustSecure = errors.New("the port is secure: must")
)

// Config is what a SecY is made with.
type Config struct {
	// SCI is the transmit SC's.
	SCI   sa.SCI
	Suite sa.Suite
	// Offset is the confidentiality offset of all SAs: 0, 30 or 50 octets, 0
	// with XPN.
	Offset int
	// Should allows the Clear state (secure: should).
	Should bool
	Parameters
}

// Parameters may change while traffic flows.
type Parameters struct {
	// Encrypt is confidentiality; else integrity only.
	Encrypt bool
	// SendSCI puts the SCI into every SecTAG (alwaysIncludeSCI). Without it,
	// and without EndStation, it is there only while there is more than one
	// receive SC (802.1AE 10.5.3).
	SendSCI bool
	// EndStation has the source address tell the SCI instead (useES). It is for
	// an SCI with port 00-01 whose address all frames sent have; with another
	// port, and with SendSCI, it means nothing.
	EndStation bool
	// ReplayWindow is replayProtect's, in packets; nil is replayProtect off.
	ReplayWindow *uint32
	// MaxMPDU is how long an MPDU may be, in octets without FCS; 0 is as long
	// as its buffer.
	MaxMPDU int
}

// SecY is one port's. Its methods are safe for concurrent use.
type SecY struct {
	c Config // Parameters as they are now

	// What a frame needs; replaced by publish.
	tx atomic.Pointer[txPath]
	rx atomic.Pointer[rxPath]

	mu       sync.Mutex // of all below
	port     sa.ControlledPort
	txSAs    [numAN]*txSA
	encoding *txSA
	rxSCs    map[sa.SCI]*rxSC
	spent    []sa.KeyID // transmit SAs' that are gone, oldest first

	in  [inCounters]atomic.Uint64
	out [outCounters]atomic.Uint64
}

const (
	numAN = 4
	// maxSpent bounds the memory of spent. MKA installs no key identifier
	// twice; this is the second lock on that door.
	maxSpent = 1024
)

// New makes a SecY without SAs, Unsecured.
func New(c Config) (*SecY, error) {
	if err := checkKey(c.Suite, c.Offset); err != nil {
		return nil, fmt.Errorf("SecY %s: %w", c.SCI, err)
	}
	s := &SecY{c: c, rxSCs: map[sa.SCI]*rxSC{}}
	s.SetParameters(c.Parameters)
	return s, nil
}

// SetParameters changes them between two frames.
func (s *SecY) SetParameters(p Parameters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.c.ReplayWindow; w != nil {
		for _, sc := range s.rxSCs {
			for _, a := range sc.sa {
				if a != nil {
					a.pn.keep(uint64(*w))
				}
			}
		}
	}
	if p.ReplayWindow != nil {
		w := *p.ReplayWindow
		p.ReplayWindow = &w
	}
	s.c.Parameters = p
	s.publish()
}

// SetControlledPort opens or closes the port (802.1AE 10.7.4).
//
//	Secured    protectFrames on, validateFrames strict
//	Unsecured  nothing is sent; what is received is validated and delivered as
//	           in Secured, as far as there are SAs: a peer may send under a new
//	           SAK a moment before this end is secured
//	Clear      protectFrames off, validateFrames check, so that untagged frames
//	           pass both ways. ErrMustSecure unless Config.Should
func (s *SecY) SetControlledPort(p sa.ControlledPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == sa.Clear && !s.c.Should {
		return s.fail(fmt.Sprintf("set the controlled port %s", p), ErrMustSecure)
	}
	s.port = p
	s.publish()
	return nil
}

// publish gives the frames the SecY as it is now. The lock is held.
func (s *SecY) publish() {
	s.tx.Store(s.newTxPath())
	s.rx.Store(s.newRxPath())
}

// Observe fills t with the SAs, in the order of AN, and of SCI for receive. It
// reuses t's slices. A transmit SA that has no PN left has PN 0 and is not
// encoding.
func (s *SecY) Observe(t *sa.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Encoding, t.Tx, t.Rx = sa.NoAN, t.Tx[:0], t.Rx[:0]
	for _, a := range s.txSAs {
		if a == nil {
			continue
		}
		st := sa.TxState{AN: a.an, Key: a.key, PN: a.pn.next()}
		if a == s.encoding && st.PN != 0 {
			t.Encoding = a.an
		}
		t.Tx = append(t.Tx, st)
	}
	for sci, sc := range s.rxSCs {
		for an, a := range sc.sa {
			if a != nil {
				t.Rx = append(t.Rx, sa.RxState{SCI: sci, AN: uint8(an), Key: a.key, PN: a.pn.next(lastPN(s.c.Suite))})
			}
		}
	}
	slices.SortFunc(t.Rx, func(a, b sa.RxState) int {
		switch {
		case a.SCI.Less(b.SCI):
			return -1
		case b.SCI.Less(a.SCI):
			return 1
		}
		return int(a.AN) - int(b.AN)
	})
	return nil
}

func (s *SecY) fail(op string, err error) error {
	return fmt.Errorf("SecY %s: %s: %w", s.c.SCI, op, err)
}
