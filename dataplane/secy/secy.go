// Package secy is the kernel's SecY as the KaY sees it: the secure channels
// and associations in a MACsec device, and the state of its Controlled Port.
//
// The reconciler owns the shell: it creates the device with its cipher suite
// and parameters, through linux/macsec, and deletes it. This package owns the
// SAs in it, and of the parameters the ones that open and close the port:
// encoding SA, protectFrames, validateFrames and the operational state.
//
// What passes no traffic is the absence of an active encoding SA, with
// protectFrames on and validateFrames strict: the kernel then drops. The
// operational state tells the rest of the machine, it does not block. Close
// leaves everything in the kernel as it is: a daemon that ends does not cut
// the link.
package secy

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/macsec"
)

var (
	// ErrKeyInUse is the refusal of an AN or a key identifier that another SA
	// has.
	ErrKeyInUse = errors.New("in use")
	// ErrNotInstalled is the refusal to encode with an SA that is not there.
	ErrNotInstalled = errors.New("not installed")
	// ErrExhausted is the refusal to encode with an SA whose PN has wrapped:
	// the kernel would begin again at PN 1 and reuse nonces.
	ErrExhausted = errors.New("packet numbers exhausted")
	// ErrMustSecure is the refusal of the Clear state by a must-secure port.
	ErrMustSecure = errors.New("the port is secure: must")
	// ErrClosed is the answer after Close.
	ErrClosed = errors.New("closed")
)

// Options say what the SecY may do.
type Options struct {
	// Should allows the Clear state (secure: should).
	Should bool
	// Quiet calls change once and returns its error. Meanwhile, so far as it
	// can, no frame is on its way through the device. See Apply. Nil calls
	// change and no more.
	Quiet func(change func() error) error
}

// SecY drives one MACsec device. It is safe for concurrent use; changes and
// observations follow one another.
type SecY struct {
	name    string
	ifindex int
	suite   sa.Suite
	should  bool
	quiet   func(change func() error) error

	mu     sync.Mutex
	kernel *macsec.Conn // nil after Close
	links  *link.Handle
	tally  tally
}

// Open takes hold of the MACsec device of that name in the calling thread's
// network namespace; netns.NS.Do opens one elsewhere. The SecY follows the
// device's ifindex: a device that is deleted and made again wants a new Open.
// Its errors are link.ErrNotFound and macsec.ErrNoDevice.
//
// A poll costs a dump of all MACsec devices of the namespace, since the kernel
// offers no smaller one.
func Open(ifname string, o Options) (*SecY, error) {
	s := &SecY{name: ifname, should: o.Should, quiet: o.Quiet}
	if s.quiet == nil {
		s.quiet = func(change func() error) error { return change() }
	}
	err := s.open()
	if err != nil {
		s.Close()
		return nil, s.fail("open", err)
	}
	return s, nil
}

func (s *SecY) open() error {
	var err error
	if s.links, err = link.Open(); err != nil {
		return err
	}
	l, err := s.links.ByName(s.name)
	if err != nil {
		return err
	}
	s.ifindex = l.Index
	if s.kernel, err = macsec.Dial(); err != nil {
		return err
	}
	dev, err := s.kernel.Get(s.ifindex)
	if err != nil {
		return err
	}
	// The device's suite cannot change while it lives.
	var ok bool
	if s.suite, ok = sa.SuiteFromID(uint64(dev.CipherSuite)); !ok {
		return fmt.Errorf("%s is none of %s", dev.CipherSuite, sa.Suites())
	}
	if dev.Offload != macsec.OffloadOff {
		return errors.New("it is offloaded to the NIC, which is not supported; ip macsec offload " + s.name + " off")
	}
	return nil
}

// Suite is the device's cipher suite.
func (s *SecY) Suite() sa.Suite { return s.suite }

// Close lets the device go. SAs, and the port's state, stay as they are. It
// may be called again.
func (s *SecY) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.kernel != nil {
		err = s.kernel.Close()
		s.kernel = nil
	}
	if s.links != nil {
		err = errors.Join(err, s.links.Close())
		s.links = nil
	}
	return err
}

// Apply carries out one change of the SAs, as sa.ChangeKind describes it: it
// is idempotent, and a change that fails leaves nothing of itself behind that
// a second Apply would trip over.
//
// Encode in place of another SA is done in Options.Quiet, since it could tear
// a frame that the kernel is protecting at that moment: drivers/net/macsec.c
// reads the encoding AN once to find the SA and again to write the SecTAG, and
// such a frame leaves under the old key with the new AN. The peer drops it and
// counts it in InPktsNotValid. It is never in clear.
//
// RaiseLowestPN is errors.ErrUnsupported: the kernel would set the PN
// unconditionally and so, racing with traffic, open the replay window again.
func (s *SecY) Apply(c sa.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dev, err := s.get()
	if err != nil {
		return s.fail(c.String(), err)
	}
	todo, err := steps(s.suite, dev, c)
	if err != nil {
		return s.fail(c.String(), err)
	}
	for i, st := range todo {
		if err := s.do(st, c); err != nil {
			if i > 0 && todo[i-1].op == addRxSC {
				err = errors.Join(err, s.do(step{op: deleteRxSC}, c))
			}
			return s.fail(c.String(), err)
		}
	}
	return nil
}

// get observes the device. The lock is held.
func (s *SecY) get() (*macsec.SecY, error) {
	if s.kernel == nil {
		return nil, ErrClosed
	}
	dev, err := s.kernel.Get(s.ifindex)
	if err != nil {
		return nil, err
	}
	s.tally.add(&dev)
	return &dev, nil
}

// do carries out one step of c. The lock is held.
func (s *SecY) do(st step, c sa.Change) error {
	sci := macsec.SCI(c.SCI)
	an := c.SA.AN
	switch st.op {
	case addRxSC:
		return s.kernel.AddRxSC(s.ifindex, sci)
	case deleteRxSC:
		return s.kernel.DeleteRxSC(s.ifindex, sci)
	case addRxSA:
		return withSAK(&c, func() error { return s.kernel.AddRxSA(s.ifindex, sci, newSA(s.suite, &c.SA, st.pn, true)) })
	case activateRxSA:
		return s.kernel.SetRxSAActive(s.ifindex, sci, an, true)
	case deleteRxSA:
		return s.kernel.DeleteRxSA(s.ifindex, sci, an)
	case addTxSA:
		// Inactive: at the encoding AN, which is 0 on a new device, an active
		// one would transmit before Encode.
		return withSAK(&c, func() error { return s.kernel.AddTxSA(s.ifindex, newSA(s.suite, &c.SA, st.pn, false)) })
	case activateTxSA:
		return s.kernel.SetTxSAActive(s.ifindex, an, true)
	case encodeTxSA:
		encode := func() error { return s.kernel.ChangeDevice(s.ifindex, macsec.Config{EncodingSA: &an}) }
		if st.moves {
			return s.quiet(encode)
		}
		return encode()
	case deleteTxSA:
		return s.kernel.DeleteTxSA(s.ifindex, an)
	}
	return fmt.Errorf("%s: not a step", st)
}

// withSAK makes a request that has c's SAK in it, and erases what it leaves.
func withSAK(c *sa.Change, request func() error) (err error) {
	erase.Do(func() { err = request() })
	runtime.KeepAlive(c.SA.SAK)
	return err
}

func newSA(suite sa.Suite, a *sa.SA, pn uint64, active bool) macsec.NewSA {
	return macsec.NewSA{AN: a.AN, Active: active, PN: pn, KeyID: a.Key.Octets(), Key: a.SAK.Bytes(),
		XPN: suite.XPN(), SSCI: a.SSCI, Salt: a.Salt}
}

// Observe fills t with the SAs that are in the kernel, in the order of AN, and
// of SCI for receive. It reuses t's slices. A receive SA that does not receive
// is left out: the deletion that made it so was cut short.
func (s *SecY) Observe(t *sa.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dev, err := s.get()
	if err != nil {
		return s.fail("observe", err)
	}
	tabulate(dev, t)
	return nil
}

func tabulate(dev *macsec.SecY, t *sa.Table) {
	t.Encoding, t.Tx, t.Rx = dev.EncodingSA, t.Tx[:0], t.Rx[:0]
	for _, a := range dev.TxSA {
		t.Tx = append(t.Tx, sa.TxState{AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID), PN: a.PN})
		if a.AN == dev.EncodingSA && !a.Active {
			t.Encoding = sa.NoAN
		}
	}
	for _, sc := range dev.RxSC {
		for _, a := range sc.SA {
			if a.Active {
				t.Rx = append(t.Rx, sa.RxState{SCI: sa.SCI(sc.SCI), AN: a.AN, Key: sa.KeyIDFromOctets(a.KeyID), PN: a.PN})
			}
		}
	}
	slices.SortStableFunc(t.Rx, func(a, b sa.RxState) int {
		switch {
		case a.SCI.Less(b.SCI):
			return -1
		case b.SCI.Less(a.SCI):
			return 1
		}
		return int(a.AN) - int(b.AN)
	})
}

func (s *SecY) fail(op string, err error) error {
	return fmt.Errorf("secy %s: %s: %w", s.name, op, err)
}
