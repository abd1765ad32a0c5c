package vhd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"
)

var made = time.Date(2026, 11, 26, 17, 0, 0, 0, time.UTC)

func TestFooter(t *testing.T) {
	const size = 1570 << 20
	b, err := Footer(size, made, "a")
	if err != nil || len(b) != FooterSize {
		t.Fatalf("%d octets, %v", len(b), err)
	}
	var sum uint32
	for i, o := range b {
		if i < 64 || i >= 68 {
			sum += uint32(o)
		}
	}
	if got := binary.BigEndian.Uint32(b[64:]); got != ^sum {
		t.Errorf("checksum %#x, want %#x", got, ^sum)
	}
	for at, want := range map[int]string{
		0:  hex.EncodeToString([]byte("conectix")),
		8:  "0000000200010000ffffffffffffffff",
		40: "00000000622000000000000062200000", // both sizes
		56: "ffff10ff00000002",                 // geometry, fixed
	} {
		if got := hex.EncodeToString(b[at : at+len(want)/2]); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	if got := epoch.Add(time.Duration(binary.BigEndian.Uint32(b[24:])) * time.Second); !got.Equal(made) {
		t.Errorf("made %s, want %s", got, made)
	}
	if !bytes.Equal(b[84:], make([]byte, FooterSize-84)) {
		t.Errorf("after the identity: %x, want zeros", b[84:])
	}
	same, _ := Footer(size, made, "a")
	other, _ := Footer(size, made, "b")
	if !bytes.Equal(b, same) || bytes.Equal(b[68:84], other[68:84]) {
		t.Error("the identity is the name's, and no other's")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		size int64
		made time.Time
	}{
		{1<<30 + 512, made}, {19 << 20, made}, {1024 << 30, made}, {1 << 30, epoch.Add(-time.Second)}, {1 << 30, epoch.AddDate(200, 0, 0)},
	} {
		if b, err := Footer(c.size, c.made, ""); err == nil {
			t.Errorf("%d octets of %s: a footer %x", c.size, c.made, b[:8])
		}
	}
}
