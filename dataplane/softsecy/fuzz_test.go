package softsecy

import (
	"bytes"
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
