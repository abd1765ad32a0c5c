package mka

import (
	"bytes"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// hostap is a member that behaves as wpa_supplicant 2.10 has been seen to: one
// CAK, one peer, MKPDUs by the hello timer and after a change alone; it starts
// at AN 0 and KN 1, distributes a SAK in one MKPDU, ignores a new MI of a known
// SCI for 3 s, leaves the old key's transmit flag on, and is elected key server
// with priority 255.
type hostap struct {
	cfg     Config
	key     Key
	icv     *kdf.CMAC
	kek     *secret.Key
	secy    *fakeSecY
	mi      sa.MI
	mn      uint32
	helloAt time.Duration

	peer struct {
		sci      sa.SCI
		mi       sa.MI
		mn       uint32
		live     bool
		priority uint8
		expires  time.Duration
		receives sa.KeyID
		sends    sa.KeyID
	}
	ignored time.Duration // since when another MI of the peer's SCI is heard

	kn        uint32
	an        uint8
	cur, old  mkpdu.KeyUse
	madeFor   sa.MI
	wrapped   []byte // to be distributed with the next MKPDU
	retireOld time.Duration
}

func (w *world) startHostap(i int, k Key) {
	n := w.nodes[i]
	kek, err := kdf.KEK(k.CAK, k.CKN)
	if err != nil {
		w.t.Fatal(err)
	}
	h := &hostap{cfg: n.cfg, key: k, icv: icvOf(k), kek: kek, secy: n.secy, helloAt: w.now}
	for i := range h.mi {
		h.mi[i] = byte(w.rng.Uint32())
	}
	n.raw, n.up = h, true
	w.step(i, Event{Kind: Tick})
}

func (h *hostap) server() bool {
	p := &h.peer
	return p.live && (h.cfg.Priority < p.priority || h.cfg.Priority == p.priority && h.cfg.SCI.Less(p.sci))
}

// step takes a frame, or nil for time, and gives what it sends.
func (h *hostap) step(now time.Duration, frame []byte) (out [][]byte) {
	changed := false
	if frame != nil {
		var d mkpdu.PDU
		if mkpdu.Parse(frame, &d) != nil || !bytes.Equal(d.CKN, h.key.CKN) || !h.icv.Verify(d.Signed, d.ICV) || d.MI == h.mi {
			return nil
		}
		changed = h.receive(now, &d)
	}
	if p := &h.peer; p.live && now >= p.expires {
		p.live, p.mi = false, sa.MI{}
	}
	if h.retireOld > 0 && now >= h.retireOld {
		h.drop(h.old)
		h.old, h.retireOld = mkpdu.KeyUse{}, 0
	}
	if now >= h.helloAt || changed {
		h.helloAt = now + h.cfg.Hello
		out = append(out, h.send())
	}
	return out
}

func (h *hostap) receive(now time.Duration, d *mkpdu.PDU) (changed bool) {
	p := &h.peer
	switch {
	case d.MI == p.mi && d.MN <= p.mn:
		return false
	case d.MI != p.mi && p.live && d.SCI == p.sci:
		if h.ignored == 0 {
			h.ignored = now
		}
		if now < h.ignored+3*time.Second {
			return false
		}
	}
	if d.MI != p.mi {
		h.ignored = 0
		*p = h.peer
		p.live = false
	}
	p.sci, p.mi, p.mn, p.priority = d.SCI, d.MI, d.MN, d.Priority
	p.expires = now + h.cfg.Life
	_, live := d.Live.Find(h.mi)
	_, maybe := d.Potential.Find(h.mi)
	p.live = p.live || live || maybe
	p.receives, p.sends = sa.KeyID{}, sa.KeyID{}
	if d.HasUse {
		if d.Use.Latest.Rx {
			p.receives = d.Use.Latest.Key
		}
		if d.Use.Latest.Tx {
			p.sends = d.Use.Latest.Key
		}
	}
	switch {
	case !p.live:
	case h.server() && h.madeFor != p.mi:
		h.distribute()
		changed = true
	case !h.server() && d.HasDistributed && !d.Distributed.PlainText && d.Distributed.KN != h.cur.Key.KN:
		changed = h.accept(d)
	}
	if k := h.cur.Key; !k.IsZero() && !h.cur.Tx && (h.server() && p.receives == k || !h.server() && p.sends == k) {
		h.cur.Tx, changed = true, true
		h.do(sa.Change{Kind: sa.Encode, SA: sa.SA{AN: h.cur.AN, Key: k}})
		h.retireOld = now + RetireTime
	}
	return changed
}

func (h *hostap) distribute() {
	h.kn++
	sak := secret.New(bytes.Repeat([]byte{byte(h.kn)}, h.cfg.Suite.KeyLen()))
	h.wrapped, _ = kdf.Wrap(nil, h.kek, sak)
	h.madeFor = h.peer.mi
	h.use(sa.KeyID{MI: h.mi, KN: h.kn}, h.an, sak)
	h.an = (h.an + 1) & 3
}

func (h *hostap) accept(d *mkpdu.PDU) bool {
	sak, err := kdf.Unwrap(h.kek, d.Distributed.Wrapped)
	if err != nil {
		return false
	}
	h.use(sa.KeyID{MI: d.MI, KN: d.Distributed.KN}, d.Distributed.AN, sak)
	return true
}

// use installs a SAK; the older of the two before goes, the newer becomes old
// with its flags as they are.
func (h *hostap) use(k sa.KeyID, an uint8, sak *secret.Key) {
	if !h.old.Key.IsZero() {
		h.drop(h.old)
	}
	h.old, h.retireOld = h.cur, 0
	if h.old.AN == an && !h.old.Key.IsZero() {
		h.drop(h.old)
		h.old = mkpdu.KeyUse{}
	}
	h.cur = mkpdu.KeyUse{Key: k, AN: an, Rx: true, LowestPN: 1}
	h.do(sa.Change{Kind: sa.InstallRx, SCI: h.peer.sci, SA: sa.SA{AN: an, Key: k, SAK: sak, PN: 1}})
	h.do(sa.Change{Kind: sa.InstallTx, SA: sa.SA{AN: an, Key: k, SAK: sak, PN: 1}})
}

func (h *hostap) drop(u mkpdu.KeyUse) {
	h.do(sa.Change{Kind: sa.DeleteTx, SA: sa.SA{AN: u.AN, Key: u.Key}})
	h.do(sa.Change{Kind: sa.DeleteRx, SCI: h.peer.sci, SA: sa.SA{AN: u.AN, Key: u.Key}})
}

func (h *hostap) do(c sa.Change) {
	if err := h.secy.apply(c); err != nil {
		panic("hostap model: " + err.Error())
	}
}

func (h *hostap) send() []byte {
	h.mn++
	p := &h.peer
	d := &mkpdu.PDU{
		Dst: h.cfg.Destination, Src: h.cfg.SCI.MAC(), EtherType: h.cfg.EtherType, EAPOLVersion: 3, Version: 1,
		Priority: h.cfg.Priority, KeyServer: h.server(), Desired: true, Capability: 2, SCI: h.cfg.SCI, MI: h.mi, MN: h.mn,
		Agility: mkpdu.Agility, CKN: h.key.CKN,
	}
	switch {
	case p.live:
		d.Live, d.HasLive = d.Live.Append(p.mi, p.mn), true
	case p.mi != (sa.MI{}):
		d.Potential, d.HasPotential = d.Potential.Append(p.mi, p.mn), true
	}
	if !h.cur.Key.IsZero() {
		d.HasUse = true
		d.Use.Latest, d.Use.Old = h.cur, h.old
	}
	if h.wrapped != nil {
		d.HasDistributed = true
		d.Distributed = mkpdu.DistributedSAK{AN: h.cur.AN, ConfidentialityOffset: 1, KN: h.cur.Key.KN, Suite: h.cfg.Suite.ID(), Wrapped: h.wrapped}
		h.wrapped = nil
	}
	return sign(d, h.key)
}
