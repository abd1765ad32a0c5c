package kdf

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"pgregory.net/rapid"
)

func key(octets int) *secret.Key { return secret.New(bytes.Repeat([]byte{0x5a}, octets)) }

func TestRefused(t *testing.T) {
	mi := make([]byte, 12)
	kdf := func(key, bits int) error {
		_, err := KDF(make([]byte, key), "label", nil, bits)
		return err
	}
	derive := func(f func(*secret.Key, []byte) (*secret.Key, error), cak, ckn int) error {
		_, err := f(key(cak), make([]byte, ckn))
		return err
	}
	sak := func(cak *secret.Key, nonce int, mis []byte, octets int) error {
		_, err := SAK(cak, make([]byte, nonce), mis, 1, octets)
		return err
	}
	wrap := func(kek, k *secret.Key) error {
		dst, err := Wrap([]byte("kept"), kek, k)
		if string(dst) != "kept" {
			t.Errorf("a refused Wrap gave %q", dst)
		}
		return err
	}
	unwrap := func(kek *secret.Key, n int) error {
		k, err := Unwrap(kek, make([]byte, n))
		if k != nil {
			t.Error("a refused Unwrap gave a key")
		}
		return err
	}
	_, cmac := NewCMAC(make([]byte, 24))
	_, noKey := NewCMAC(nil)
	for _, c := range []struct {
		name      string
		got, want error
	}{
		{"CMAC with 24 octets", cmac, ErrKeyLength},
		{"CMAC without a key", noKey, ErrKeyLength},
		{"KDF with 17 octets", kdf(17, 128), ErrKeyLength},
		{"KDF of 0 bits", kdf(16, 0), ErrOutputLength},
		{"KDF of -8 bits", kdf(16, -8), ErrOutputLength},
		{"KDF of 129 bits", kdf(16, 129), ErrOutputLength},
		{"KDF of 32640 bits", kdf(16, 32640), nil},
		{"KDF of 32648 bits", kdf(16, 32648), ErrOutputLength},
		{"KEK of a short CAK", derive(KEK, 15, 16), ErrKeyLength},
		{"KEK of no CAK", derive(KEK, 0, 16), ErrKeyLength},
		{"KEK of a CAK of 24", derive(KEK, 24, 16), ErrKeyLength},
		{"KEK of no CKN", derive(KEK, 16, 0), ErrCKNLength},
		{"KEK of a CKN of 32", derive(KEK, 16, 32), nil},
		{"KEK of a CKN of 33", derive(KEK, 16, 33), ErrCKNLength},
		{"ICK of a CKN of 33", derive(ICK, 32, 33), ErrCKNLength},
		{"ICK of a long CAK", derive(ICK, 33, 16), ErrKeyLength},
		{"SAK of 24 octets", sak(key(16), 24, mi, 24), ErrKeyLength},
		{"SAK of no CAK", sak(nil, 16, mi, 16), ErrKeyLength},
		{"SAK with a short nonce", sak(key(32), 16, mi, 32), ErrNonceLength},
		{"SAK with a long nonce", sak(key(32), 32, mi, 16), ErrNonceLength},
		{"SAK of 32 octets from a CAK of 16", sak(key(16), 32, mi, 32), nil},
		{"SAK for nobody", sak(key(16), 16, nil, 16), ErrMIList},
		{"SAK for one MI and a half", sak(key(16), 16, make([]byte, 18), 16), ErrMIList},
		{"wrap with a short KEK", wrap(key(8), key(16)), ErrKeyLength},
		{"wrap without a KEK", wrap(nil, key(16)), ErrKeyLength},
		{"wrap of a key of 24", wrap(key(16), key(24)), ErrKeyLength},
		{"wrap of no key", wrap(key(16), nil), ErrKeyLength},
		{"unwrap with a KEK of 24", unwrap(key(24), 24), ErrKeyLength},
		{"unwrap of nothing", unwrap(key(16), 0), ErrWrapLength},
		{"unwrap of 16 octets", unwrap(key(16), 16), ErrWrapLength},
		{"unwrap of 25 octets", unwrap(key(16), 25), ErrWrapLength},
		{"unwrap of 32 octets", unwrap(key(16), 32), ErrWrapLength},
		{"unwrap of zeros", unwrap(key(16), 24), ErrUnwrap},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
		if c.got != nil && (strings.Contains(c.got.Error(), "ZZ") || strings.Contains(c.got.Error(), "5a5a")) {
			t.Errorf("%s: key octets in %q", c.name, c.got)
		}
	}
}

// The KEK and the ICK take 16 octets of the CKN: what comes after changes
// nothing, and a shorter one equals itself padded with zeros.
func TestCKNContext(t *testing.T) {
	long := []byte("0123456789abcdefXYZ")
	a, _ := KEK(key(16), long)
	b, _ := KEK(key(16), long[:16])
	if !a.Equal(b) {
		t.Error("octets of the CKN after the 16th count")
	}
	a, _ = ICK(key(16), []byte{1})
	b, _ = ICK(key(16), append([]byte{1}, make([]byte, 15)...))
	if !a.Equal(b) {
		t.Error("a short CKN is not padded with zeros")
	}
}

func drawKey(t *rapid.T, name string) *secret.Key {
	n := rapid.SampledFrom([]int{16, 32}).Draw(t, name+" octets")
	return secret.New(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name))
}

func TestWrapRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kek, k := drawKey(t, "kek"), drawKey(t, "key")
		dst := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "dst")
		out, err := Wrap(bytes.Clone(dst), kek, k)
		if err != nil || !bytes.HasPrefix(out, dst) || len(out) != len(dst)+k.Len()+8 {
			t.Fatalf("Wrap gave %x, %v", out, err)
		}
		wrapped := out[len(dst):]
		held := bytes.Clone(wrapped)
		got, err := Unwrap(kek, wrapped)
		if err != nil || !got.Equal(k) || !bytes.Equal(wrapped, held) {
			t.Fatalf("Unwrap gave another key or changed its input: %v", err)
		}
		wrapped[rapid.IntRange(0, len(wrapped)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := Unwrap(kek, wrapped); !errors.Is(err, ErrUnwrap) {
			t.Fatalf("a changed octet: %v", err)
		}
	})
}

// The tag does not depend on where message and destination lie, and one
// changed bit of either is seen.
func TestCMACInPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac, err := NewCMAC(drawKey(t, "key").Bytes())
		if err != nil {
			t.Fatal(err)
		}
		msg := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "msg")
		tag := mac.Append(nil, msg)
		in := append(make([]byte, 0, len(msg)+TagLen), msg...)
		if got := mac.Append(in, in); !bytes.Equal(got, append(bytes.Clone(msg), tag...)) || &got[0:1][0] != &in[0:1][0] {
			t.Fatalf("in place: %x, want %x %x", got, msg, tag)
		}
		if !mac.Verify(msg, tag) || mac.Verify(msg, tag[:15]) || mac.Verify(msg, append(bytes.Clone(tag), 0)) || mac.Verify(msg, nil) {
			t.Fatal("Verify takes a wrong length, or not the right tag")
		}
		tag[rapid.IntRange(0, 15).Draw(t, "at")] ^= 1
		if mac.Verify(msg, tag) {
			t.Fatal("a changed tag verifies")
		}
	})
}

func TestCMACAllocates(t *testing.T) {
	mac, _ := NewCMAC(key(32).Bytes())
	msg := make([]byte, 150, 150+TagLen)
	if n := testing.AllocsPerRun(100, func() {
		if out := mac.Append(msg, msg); !mac.Verify(msg, out[len(msg):]) {
			t.Fatal("not verified")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCMAC(b *testing.B) {
	for _, c := range []struct {
		name   string
		octets int
	}{{"128", 16}, {"256", 32}} {
		b.Run(c.name, func(b *testing.B) {
			mac, _ := NewCMAC(key(c.octets).Bytes())
			msg := make([]byte, 150, 150+TagLen)
			for i := range msg {
				msg[i] = byte(rand.Uint32())
			}
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				mac.Append(msg, msg)
			}
		})
	}
}
