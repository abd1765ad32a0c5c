package softsecy

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// rxSA is a receive SA.
type rxSA struct {
	saKey
	counts [saCounters]atomic.Uint64
	_      [64]byte // its goroutines write pn for each frame
	pn     inPN
	_      [64]byte
}

// rxSC is a receive SC as it is between two changes.
type rxSC struct {
	sci    sa.SCI
	sa     [numAN]*rxSA
	counts *scCounts
}

// rxPath is what a received frame needs to know.
type rxPath struct {
	strict  bool   // validateFrames strict, else check
	protect bool   // replayProtect
	window  uint64 // 0 without
	xpn     bool
	scs     map[uint64]*rxSC // by SCI
	only    *rxSC            // if there is exactly one
}

func (s *SecY) newRxPath() *rxPath {
	p := &rxPath{strict: s.port != sa.Clear, protect: s.c.ReplayWindow != nil,
		xpn: s.c.Suite.XPN(), scs: make(map[uint64]*rxSC, len(s.rxSCs))}
	if p.protect {
		p.window = uint64(*s.c.ReplayWindow)
	}
	for sci, sc := range s.rxSCs {
		p.scs[binary.BigEndian.Uint64(sci[:])] = sc
		p.only = sc
	}
	if len(s.rxSCs) != 1 {
		p.only = nil
	}
	return p
}

// Receiver validates frames. One goroutine at a time.
type Receiver struct {
	secy *SecY
	path *rxPath // nil between two batches
	// The SC and SA of the last frame, each nil if it had none: frames come in
	// runs. What is in the batch is theirs.
	sc    *rxSC
	sci   uint64 // of sc
	sa    *rxSA
	batch rxBatch
	iv    IV
}

// NewReceiver makes one more; their number is free.
func (s *SecY) NewReceiver() *Receiver { return &Receiver{secy: s} }

// Flush adds what was counted to the SecY's counters. It is to be called at
// the end of each batch. The Receiver then holds on to no SA: the key of one
// that is deleted can be erased.
func (r *Receiver) Flush() {
	r.tell()
	r.path, r.sc, r.sa = nil, nil, nil
}

func (r *Receiver) tell() { r.batch.tell(r.secy, r.sc, r.sa) }

// Validate checks a frame and decrypts it in place (802.1AE 10.6). frame is as
// received, from DA on, without FCS; VLAN tags in front of a SecTAG are not
// looked through. What is delivered is a part of frame: DA, SA, user data. If
// ok is false, the frame is discarded, its octets are of no use any more, and
// that is counted.
func (r *Receiver) Validate(frame []byte) (out []byte, ok bool) {
	p := r.secy.rx.Load()
	if p != r.path {
		r.tell()
		r.path, r.sc, r.sa = p, nil, nil
	}
	r.batch.any = true
	if len(frame) < addresses+2 || binary.BigEndian.Uint16(frame[addresses:]) != EtherType {
		return r.untagged(p, frame)
	}
	if len(frame) < addresses+shortTag {
		return r.discard(inBadTag)
	}
	tag := binary.BigEndian.Uint64(frame[addresses:])
	tci, an, sl, low := TCI(tag>>40)&^3, uint8(tag>>40)&3, uint8(tag>>32), uint32(tag)
	start := addresses + shortTag
	if tci.Has(SC) {
		start = addresses + longTag
	}
	n, fits := secureLen(sl, len(frame)-start, len(frame) <= minFrame)
	if !fits || tagFault(tci, sl) != nil || low == 0 && !p.xpn {
		return r.discard(inBadTag)
	}
	if !r.find(p, frame, tci) {
		return r.unassociated(p, frame, tci, start, n, inNoSCI, inUnknownSCI)
	}
	a := r.sc.sa[an]
	if a != r.sa {
		r.tell()
		r.sa = a
		r.batch.any = true
	}
	if a == nil {
		return r.unassociated(p, frame, tci, start, n, inNotUsingSA, inUnusedSA)
	}

	pn, highest := uint64(low), a.pn.highest.Load()
	if p.xpn {
		pn = RecoverPN(low, a.pn.next(1<<64-1))
	}
	if p.protect && a.pn.below(pn, highest, p.window) {
		return r.discard(inLate)
	}
	end := start
	if tci.Has(C) {
		end += min(a.offset, n)
		r.batch.n[inOctetsDecrypted] += uint64(n)
	} else {
		end += n
		r.batch.n[inOctetsValidated] += uint64(n)
	}
	a.iv(&r.iv, pn)
	_, err := a.aead.Open(frame[:end], r.iv[:], frame[end:start+n+ICVLen], frame[:end])
	switch {
	case err == nil && a.pn.accept(pn, p.window):
		r.batch.n[inOK]++
	case err == nil && p.protect:
		return r.discard(inLate)
	case err == nil:
		r.batch.n[inDelayed]++
	case p.strict || tci.Has(C):
		return r.discard(inNotValid)
	default:
		r.batch.n[inInvalid]++
	}
	return r.deliver(frame, start, n)
}

// find sets the SC that the frame belongs to; false if it is not known
// (802.1AE 9.9, 10.6.1).
func (r *Receiver) find(p *rxPath, frame []byte, tci TCI) bool {
	var sci uint64
	sc := p.only
	switch {
	case tci.Has(SC):
		sci = binary.BigEndian.Uint64(frame[addresses+shortTag:])
	case tci.Has(SCB): // EPON's single copy broadcast: SA and port 00-00
		sci = binary.BigEndian.Uint64(frame[4:]) << 16
	case tci.Has(ES): // SA and port 00-01
		sci = binary.BigEndian.Uint64(frame[4:])<<16 | 1
	case sc != nil:
		sci = binary.BigEndian.Uint64(sc.sci[:])
	}
	if r.sc != nil && sci == r.sci {
		return true
	}
	if tci&(SC|ES|SCB) != 0 {
		sc = p.scs[sci]
	}
	r.tell()
	r.sc, r.sci, r.sa = sc, sci, nil
	r.batch.any = true
	return sc != nil
}

// discard counts a frame that is not delivered.
func (r *Receiver) discard(counter int) ([]byte, bool) {
	r.batch.n[counter]++
	return nil, false
}

// untagged deals with a frame without SecTAG. One without an EtherType is
// nobody's.
func (r *Receiver) untagged(p *rxPath, frame []byte) ([]byte, bool) {
	if p.strict || len(frame) < addresses+2 {
		return r.discard(inNoTag)
	}
	r.batch.n[inUntagged]++
	return frame, true
}

// unassociated deals with a frame that no SA is for: without strict validation
// its user data are delivered unless they are encrypted (802.1AE 10.6.1).
func (r *Receiver) unassociated(p *rxPath, frame []byte, tci TCI, start, n, discarded, delivered int) ([]byte, bool) {
	if p.strict || tci.Has(C) {
		return r.discard(discarded)
	}
	r.batch.n[delivered]++
	return r.deliver(frame, start, n)
}

// deliver takes the SecTAG, which ends at start, out of a frame with n octets
// of user data behind it.
func (r *Receiver) deliver(frame []byte, start, n int) ([]byte, bool) {
	at := start - addresses
	moveAddresses(frame[at:], frame)
	return frame[at : start+n : start+n], true
}
