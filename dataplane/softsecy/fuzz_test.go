package softsecy

import (
	"bytes"
	"slices"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// FuzzSecTAG: what parses is written back octet for octet.
func FuzzSecTAG(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Encrypted)[12:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tag, n, err := ParseSecTAG(b)
		if err != nil {
			if n != 0 {
				t.Fatalf("%d octets with %v", n, err)
			}
			return
		}
		if n != tag.Len() || !bytes.Equal(tag.Append(nil), b[:n]) {
			t.Fatalf("%x parses to %v, which writes %x", b[:n], &tag, tag.Append(nil))
		}
	})
}

// FuzzValidate: no frame is authentic but one that Protect makes again.
func FuzzValidate(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Encrypted), uint8(0))
	}
	k := testKey(f, sa.GCMAES128, 30)
	for _, vlans := range []string{"", cTag, sTag + cTag} {
		for _, tci := range []TCI{SC | E | C, SC} {
			tag := SecTAG{TCI: tci, PN: 3}
			sealed, err := k.Protect(nil, plain(vlans, 40), len(vlans), tag, IV32(tag.SCI, tag.PN))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(sealed, uint8(30))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, offset uint8) {
		k := testKey(t, sa.GCMAES128, []int{0, 30, 50}[offset%3])
		var m MPDU
		if m.Parse(frame) != nil {
			return
		}
		if len(m.Secure)+len(m.ICV)+len(m.VLANs)+m.SecTAG.Len()+12 > len(frame) {
			t.Fatal("the parts are longer than the frame")
		}
		iv := IV32(m.SecTAG.SCI, m.SecTAG.PN)
		out, err := k.Open(nil, &m, iv)
		if err != nil {
			return
		}
		again, err := k.Protect(nil, out, len(m.VLANs), m.SecTAG, iv)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(frame, again) {
			t.Fatalf("%x is authentic, yet Protect makes %x", frame, again)
		}
	})
}

// FuzzReceiver: nothing is delivered in strict mode that the codec does not
// find authentic too, nothing at all while unsecured, and in clear nothing
// encrypted.
func FuzzReceiver(f *testing.F) {
	forms := []TCI{SC | E | C, SC, E | C, 0, ES | E | C, SCB}
	for variant := range uint8(len(fuzzSuites)) {
		for _, v := range vectors(f) {
			f.Add(unhex(f, v.Encrypted), variant)
		}
		for _, tci := range forms {
			for _, n := range []int{2, 40, 60} {
				c, a := fuzzSecY(variant)
				k, err := NewKey(Params{Suite: c.Suite, SAK: a.SAK, Offset: c.Offset})
				must(f, err)
				sci := west
				if tci == SCB {
					sci = sa.NewSCI(west.MAC(), 0)
				}
				iv := IV32(sci, 3)
				if c.Suite.XPN() {
					iv = IVXPN(a.SSCI, a.PN+2, a.Salt)
				}
				m, err := k.Protect(nil, plain("", n), 0, SecTAG{TCI: tci, AN: a.AN, PN: 3, SCI: sci}, iv)
				must(f, err)
				f.Add(m, variant)
				f.Add(append(m, make([]byte, 10)...), variant)
			}
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, variant uint8) {
		c, a := fuzzSecY(variant)
		scis := []sa.SCI{west, sa.NewSCI(west.MAC(), 0)}
		if variant&0x10 != 0 {
			scis = scis[:1]
		}
		authentic := fuzzAuthentic(t, c, a, scis, frame)
		for _, port := range []sa.ControlledPort{sa.Secured, sa.Unsecured, sa.Clear} {
			s := newSecY(t, c)
			must(t, s.SetControlledPort(port))
			for _, sci := range scis {
				must(t, s.Apply(sa.Change{Kind: sa.InstallRx, SCI: sci, SA: a}))
			}
			r := s.NewReceiver()
			out, ok := r.Validate(bytes.Clone(frame))
			r.Flush()
			n := s.Counters()
			switch {
			case port != sa.Clear && ok != (authentic != nil), port == sa.Clear && authentic != nil && !ok:
				t.Errorf("%s: delivered %v, authentic %x; counters %+v", port, ok, authentic, n)
			case ok && authentic != nil && !bytes.Equal(out, authentic):
				t.Errorf("%s: delivered %x, want %x", port, out, authentic)
			case ok && authentic == nil && n.InPktsUntagged == 0 && TCI(frame[14]).Has(C):
				t.Errorf("%s: delivered what is encrypted: %x", port, out)
			}
		}
	})
}

var fuzzSuites = []sa.Suite{sa.GCMAES128, sa.GCMAESXPN256, sa.GCMAES256, sa.GCMAESXPN128}

func fuzzSecY(variant uint8) (Config, sa.SA) {
	c := Config{SCI: east, Suite: fuzzSuites[variant%4], Should: true}
	pn := uint64(1)
	if c.Suite.XPN() {
		pn = 7<<32 + 1
	} else {
		c.Offset = []int{0, 30, 50, 30}[variant>>2&3]
	}
	return c, testSA(c.Suite, 1, pn)
}

// fuzzAuthentic is what the codec makes of a frame, nil if it is not authentic.
func fuzzAuthentic(t *testing.T, c Config, a sa.SA, scis []sa.SCI, frame []byte) []byte {
	var m MPDU
	if m.Parse(frame) != nil || len(m.VLANs) != 0 || m.SecTAG.AN != a.AN {
		return nil
	}
	sci, ok := m.SecTAG.ImpliedSCI(m.SA)
	if !ok && len(scis) == 1 {
		sci, ok = scis[0], true
	}
	if !ok || !slices.Contains(scis, sci) {
		return nil
	}
	k, err := NewKey(Params{Suite: c.Suite, SAK: a.SAK, Offset: c.Offset})
	must(t, err)
	iv := IV32(sci, m.SecTAG.PN)
	if c.Suite.XPN() {
		iv = IVXPN(a.SSCI, RecoverPN(m.SecTAG.PN, a.PN), a.Salt)
	}
	out, err := k.Open(nil, &m, iv)
	if err != nil {
		return nil
	}
	return out
}
