package softsecy

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Headroom is what Protect needs between a frame's addresses and its user
// data, in octets: the longest SecTAG.
const Headroom = longTag

// txSA is a transmit SA.
type txSA struct {
	saKey
	an        uint8
	protected atomic.Uint64
	encrypted atomic.Uint64
	_         [64]byte // its goroutines write pn for each frame
	pn        outPN
	_         [64]byte
}

// txPath is what a frame to be sent needs to know.
type txPath struct {
	sa    *txSA // nil: nothing is protected
	clear bool  // protectFrames is off
	tci   byte  // with the AN
	sci   uint64
	tag   int // the SecTAG's length in octets
	// encrypt: all after the offset, else nothing.
	encrypt bool
	maxMPDU int // 0: none
}

func (s *SecY) newTxPath() *txPath {
	p := &txPath{encrypt: s.c.Encrypt, maxMPDU: s.c.MaxMPDU, tag: shortTag, sci: binary.BigEndian.Uint64(s.c.SCI[:])}
	switch s.port {
	case sa.Clear:
		p.clear = true
		return p
	case sa.Secured:
		p.sa = s.encoding
	}
	if p.sa == nil {
		return p
	}
	p.tci = p.sa.an
	if p.encrypt {
		p.tci |= byte(E | C)
	}
	switch {
	case s.c.EndStation && !s.c.SendSCI && s.c.SCI.Port() == 1:
		p.tci |= byte(ES)
	case s.c.SendSCI || len(s.rxSCs) > 1:
		p.tci |= byte(SC)
		p.tag = longTag
	}
	return p
}

// Transmitter protects frames. One goroutine at a time.
type Transmitter struct {
	secy *SecY
	path *txPath // nil between two batches
	iv   IV
	n    [outCounters]uint64 // not yet told
	any  bool
}

// NewTransmitter makes one more; their number is free.
func (s *SecY) NewTransmitter() *Transmitter { return &Transmitter{secy: s} }

// Protect makes an MPDU in place (802.1AE 10.5). buf is DA and SA, Headroom
// octets of no meaning, and user data from the EtherType on; its capacity is
// at least ICVLen more than its length, and all of it may be overwritten. The
// MPDU is a part of buf, at its start with a SecTAG of 16 octets, 8 octets
// later with one of 8; where the port is Clear the frame is at Headroom. If ok
// is false, nothing may be sent, and that is counted.
func (t *Transmitter) Protect(buf []byte) (mpdu []byte, ok bool) {
	p := t.secy.tx.Load()
	if p != t.path {
		t.tell()
		t.path = p
	}
	t.any = true
	user := len(buf) - addresses - Headroom
	if p.sa == nil || user < 2 {
		return t.unprotected(buf, user)
	}
	mpdu = buf[Headroom-p.tag:]
	if cap(buf)-len(buf) < ICVLen || p.maxMPDU != 0 && len(mpdu)+ICVLen > p.maxMPDU {
		t.n[outTooLong]++
		return nil, false
	}
	pn, ok := p.sa.pn.take()
	if !ok {
		t.n[outDropped]++
		return nil, false
	}
	if p.tag != Headroom {
		moveAddresses(mpdu, buf)
	}
	sl := byte(0)
	if user < minSecureData {
		sl = byte(user)
	}
	end := addresses + p.tag
	tag := mpdu[addresses:end]
	binary.BigEndian.PutUint64(tag, EtherType<<48|uint64(p.tci)<<40|uint64(sl)<<32|pn&0xffffffff)
	if p.tag == longTag {
		binary.BigEndian.PutUint64(tag[8:], p.sci)
	}
	if p.encrypt {
		end += min(p.sa.offset, user)
		t.n[outEncrypted]++
		t.n[outOctetsEncrypted] += uint64(user)
	} else {
		end += user
		t.n[outProtected]++
		t.n[outOctetsProtected] += uint64(user)
	}
	p.sa.iv(&t.iv, pn)
	return p.sa.aead.Seal(mpdu[:end], t.iv[:], mpdu[end:], mpdu[:end]), true
}

// unprotected deals with a frame that no SA is for.
func (t *Transmitter) unprotected(buf []byte, user int) ([]byte, bool) {
	if !t.path.clear || user < 2 {
		t.n[outDropped]++
		return nil, false
	}
	moveAddresses(buf[Headroom:], buf)
	t.n[outUntagged]++
	return buf[Headroom:], true
}

// Flush adds what was counted to the SecY's counters. It is to be called at
// the end of each batch. The Transmitter then holds on to no SA: the key of one
// that is deleted can be erased.
func (t *Transmitter) Flush() {
	t.tell()
	t.path = nil
}

func (t *Transmitter) tell() {
	if !t.any {
		return
	}
	for i, n := range t.n {
		if n != 0 {
			t.secy.out[i].Add(n)
		}
	}
	if t.path != nil && t.path.sa != nil {
		a := t.path.sa
		a.protected.Add(t.n[outProtected])
		a.encrypted.Add(t.n[outEncrypted])
	}
	t.n, t.any = [outCounters]uint64{}, false
}

// TooLong counts a frame that did not fit into its buffer.
func (t *Transmitter) TooLong() { t.refuse(outTooLong) }

// Drop counts a frame that could not be made of what the host gave, or that
// the port did not take.
func (t *Transmitter) Drop() { t.refuse(outDropped) }

func (t *Transmitter) refuse(counter int) {
	t.n[counter]++
	t.any = true
}
