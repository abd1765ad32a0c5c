package mkpdu

import (
	"bytes"
	"testing"
)

// FuzzParse: whatever comes, Parse does not panic, keeps within the frame,
// and what it understood can be sent and is then understood alike.
func FuzzParse(f *testing.F) {
	for name := range captured {
		for _, frame := range mkpdus(f, name+".pcap") {
			f.Add(frame)
		}
	}
	for _, v := range loadVectors(f) {
		f.Add([]byte(v.Frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		held := bytes.Clone(frame)
		var p PDU
		err := Parse(frame, &p)
		if !bytes.Equal(frame, held) {
			t.Fatal("the frame was changed")
		}
		if err != nil {
			if e, ok := err.(Error); !ok || e == 0 || e >= Errors {
				t.Fatalf("error %v is none of this package's", err)
			}
			return
		}
		if len(p.Signed)+len(p.ICV) > len(frame) || len(p.ICV) != ICVLen || len(p.CKN) < 1 || len(p.CKN) > MaxCKN {
			t.Fatalf("bounds: %d signed, ICV %d, CKN %d", len(p.Signed), len(p.ICV), len(p.CKN))
		}
		first := append(Append(nil, &p), p.ICV...)
		if len(first) != p.Len() || len(first) > len(p.Signed)+ICVLen {
			t.Fatalf("sent again with %d octets, Len %d, came with %d", len(first), p.Len(), len(p.Signed)+ICVLen)
		}
		var q PDU
		if err := Parse(first, &q); err != nil {
			t.Fatalf("sent again: %v", err)
		}
		if second := append(Append(nil, &q), q.ICV...); !bytes.Equal(first, second) {
			t.Fatalf("not stable:\n%x\n%x", first, second)
		}
		if p.MI != q.MI || p.MN != q.MN || p.Use != q.Use || p.XPN != q.XPN || !bytes.Equal(p.Live, q.Live) ||
			!bytes.Equal(p.Potential, q.Potential) || !bytes.Equal(p.Distributed.Wrapped, q.Distributed.Wrapped) || !bytes.Equal(p.CKN, q.CKN) {
			t.Fatalf("understood differently:\n%+v\n%+v", p, q)
		}
	})
}
