package tpm

import (
	"bytes"
	"testing"
)

// What is accepted is what append writes.
func FuzzParseBlob(f *testing.F) {
	b := blob{primary: []byte("name"), public: []byte("public"), private: []byte("private"), pcrs: []pcr{{index: 0}, {index: 23}}}
	f.Add(b.append(nil))
	b.pcrs = nil
	f.Add(b.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBlob(data)
		if err == nil && !bytes.Equal(b.append(nil), data) {
			t.Fatalf("%+v is written otherwise", b)
		}
	})
}

func TestParseBlob(t *testing.T) {
	good := (&blob{primary: []byte("n"), public: []byte("p"), private: []byte("s"), pcrs: []pcr{{index: 3}, {index: 7}}}).append(nil)
	if _, err := parseBlob(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := parseBlob(good[:n]); err == nil {
			t.Errorf("%d octets of %d are accepted", n, len(good))
		}
	}
	twice := (&blob{primary: []byte("n"), public: []byte("p"), private: []byte("s"), pcrs: []pcr{{index: 7}, {index: 7}}}).append(nil)
	if _, err := parseBlob(twice); err == nil {
		t.Error("a PCR that is there twice is accepted")
	}
}
