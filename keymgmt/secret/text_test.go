package secret

import (
	"bytes"
	"strings"
	"testing"
)

func TestRandomText(t *testing.T) {
	octets := make([]byte, 64)
	for i := range octets {
		octets[i] = byte(37 * i)
	}
	r := bytes.NewReader(octets)
	a, err := RandomText(r, 32)
	if err != nil {
		t.Fatal(err)
	}
	b, err := RandomText(r, 32)
	if err != nil {
		t.Fatal(err)
	}
	// 32 octets, counted up by 37: RFC 4648 clause 6 by hand for the first five,
	// 00 25 4a 6f 94.
	if !strings.HasPrefix(string(a.Bytes()), "aasuu34u") || a.Equal(b) {
		t.Errorf("%s, %s", a.Bytes(), b.Bytes())
	}
	for _, k := range []*Key{a, b} {
		if k.Len() != 52 || strings.Trim(string(k.Bytes()), "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("%d characters: %s", k.Len(), k.Bytes())
		}
	}
	if _, err := RandomText(r, 32); err == nil || !strings.Contains(err.Error(), "32 octets") {
		t.Errorf("without random numbers: %v", err)
	}
}
