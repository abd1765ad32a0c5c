package softsecy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// vector is a frame of testdata/macsec.json.
type vector struct {
	Name, Cipher, Key, Salt, SSCI, Plaintext, Encrypted string
	SCI, PN, IV, Mode, AAD                              string
	AN                                                  uint8
	TCIAN                                               string `json:"tci_an"`
	SL                                                  uint8
	Offset                                              int `json:"confidentiality_offset"`
	Negative                                            bool
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectors(t testing.TB) (vs []vector) {
	t.Helper()
	b, err := os.ReadFile("testdata/macsec.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &vs); err != nil {
		t.Fatal(err)
	}
	return vs
}

func (v *vector) key(t testing.TB) *Key {
	t.Helper()
	suite, ok := sa.ParseSuite(strings.ToLower(v.Cipher))
	if !ok {
		t.Fatalf("cipher %q", v.Cipher)
	}
	k, err := NewKey(Params{Suite: suite, SAK: secret.New(unhex(t, v.Key)), Offset: v.Offset})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// iv computes the vector's IV from its SCI or its SSCI, PN and salt.
func (v *vector) iv(t testing.TB) IV {
	t.Helper()
	pn := unhex(t, v.PN)
	if v.Salt != "" {
		return IVXPN(binary.BigEndian.Uint32(unhex(t, v.SSCI)), binary.BigEndian.Uint64(pn), [12]byte(unhex(t, v.Salt)))
	}
	return IV32(sa.SCI(unhex(t, v.SCI)), binary.BigEndian.Uint32(pn))
}

// TestVectors validates and protects every frame of 802.1AE-2018 Annex C and
// those computed beside them.
func TestVectors(t *testing.T) {
	positive := 0
	for _, v := range vectors(t) {
		if v.Negative {
			continue
		}
		positive++
		t.Run(v.Name, func(t *testing.T) {
			frame, plain := unhex(t, v.Encrypted), unhex(t, v.Plaintext)
			var m MPDU
			if err := m.Parse(frame); err != nil {
				t.Fatal(err)
			}
			tag := m.SecTAG
			if tag.AN != v.AN || tag.SL != v.SL || tag.PN != binary.BigEndian.Uint32(unhex(t, v.PN)[len(v.PN)/2-4:]) {
				t.Errorf("SecTAG %v: want an %d sl %d pn %s", &tag, v.AN, v.SL, v.PN)
			}
			if tag.Encrypted() != (v.Mode == "confidentiality") {
				t.Errorf("SecTAG %v in mode %s", &tag, v.Mode)
			}
			if sci, ok := tag.ImpliedSCI(m.SA); !ok || sci.String() != v.SCI {
				t.Errorf("SCI %v, want %s", sci, v.SCI)
			}
			iv := v.iv(t)
			if got := hex.EncodeToString(iv[:]); got != v.IV {
				t.Errorf("IV %s, want %s", got, v.IV)
			}
			k := v.key(t)
			got, err := k.Open(nil, &m, iv)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, plain) {
				t.Errorf("Open gives %x, want %x", got, plain)
			}
			sealed, err := k.Protect(nil, plain, 0, tag, iv)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(sealed, frame) {
				t.Errorf("Protect gives %x, want %x", sealed, frame)
			}
			for i := range frame {
				frame[i] ^= 1
				if err := m.Parse(frame); err == nil {
					if _, err := k.Open(nil, &m, iv); err == nil {
						t.Errorf("a flipped bit in octet %d passes", i)
					}
				}
				frame[i] ^= 1
			}
		})
	}
	if positive != 39 {
		t.Errorf("%d vectors, want 39", positive)
	}
}

// TestNegativeVectors has each malformed SecTAG refused for its own reason.
func TestNegativeVectors(t *testing.T) {
	want := map[string]error{
		"SECTAG_V_EQ1": ErrVersion, "SECTAG_E_EQ0_C_EQ1": ErrEncoding, "SECTAG_SL_GTE48": ErrShortLength,
		"SECTAG_ES_EQ1_SC_EQ1": ErrSCIConflict, "SECTAG_SC_EQ1_SCB_EQ1": ErrSCIConflict,
	}
	for _, v := range vectors(t) {
		if !v.Negative {
			continue
		}
		name := v.Name[strings.LastIndex(v.Name, " ")+1:]
		var m MPDU
		if err := m.Parse(unhex(t, v.Encrypted)); want[name] == nil || !errors.Is(err, want[name]) {
			t.Errorf("%s: %v, want %v", v.Name, err, want[name])
		}
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("no vector for %v", want)
	}
}
