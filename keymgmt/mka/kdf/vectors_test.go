package kdf

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// octets are hex in testdata.
type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

func (o octets) key() *secret.Key { return secret.New(bytes.Clone(o)) }

// vectors is testdata/vectors.json.
type vectors struct {
	KDF []struct {
		Name    string
		KDK     octets
		Label   string `json:"label_ascii"`
		Context octets
		Bits    int `json:"length_bits"`
		Output  octets
	} `json:"generic_kdf"`
	KEKICK []struct {
		Name               string
		CAK, CKN, KEK, ICK octets
	} `json:"kek_ick"`
	SAK []struct {
		Name   string
		CAK    octets
		Nonce  octets `json:"ks_nonce"`
		MIList octets `json:"mi_value_list"`
		KN     octets
		Bits   int `json:"length_bits"`
		SAK    octets
	}
	Salt []struct {
		MI   octets `json:"ki_mi"`
		KN   octets
		Salt octets
	} `json:"xpn_salt"`
	CMAC []struct{ Key, Message, MAC octets } `json:"aes_cmac"`
	Wrap []struct{ KEK, Key, Wrapped octets } `json:"aes_key_wrap"`
}

func load(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for kind, n := range map[string]int{"KDF": len(v.KDF), "KEK and ICK": len(v.KEKICK), "SAK": len(v.SAK),
		"salt": len(v.Salt), "CMAC": len(v.CMAC), "key wrap": len(v.Wrap)} {
		if n == 0 {
			t.Fatalf("no %s vectors", kind)
		}
	}
	return v
}

func kn(b octets) (n uint32) {
	for _, o := range b {
		n = n<<8 | uint32(o)
	}
	return n
}

func TestVectors(t *testing.T) {
	v := load(t)
	same := func(name string, got, want []byte, err error) {
		t.Helper()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v; want %x", name, got, err, want)
		}
	}
	for _, c := range v.KDF {
		got, err := KDF(c.KDK, c.Label, c.Context, c.Bits)
		same(c.Name, got, c.Output, err)
	}
	for _, c := range v.KEKICK {
		got, err := KEK(c.CAK.key(), c.CKN)
		same(c.Name+" KEK", got.Bytes(), c.KEK, err)
		got, err = ICK(c.CAK.key(), c.CKN)
		same(c.Name+" ICK", got.Bytes(), c.ICK, err)
	}
	for _, c := range v.SAK {
		got, err := SAK(c.CAK.key(), c.Nonce, c.MIList, kn(c.KN), c.Bits/8)
		same(c.Name, got.Bytes(), c.SAK, err)
	}
	for _, c := range v.Salt {
		got := Salt(sa.KeyID{MI: sa.MI(c.MI), KN: kn(c.KN)})
		same("salt", got[:], c.Salt, nil)
	}
	for _, c := range v.CMAC {
		mac, err := NewCMAC(c.Key)
		if err != nil {
			t.Fatal(err)
		}
		same("CMAC", mac.Append(nil, c.Message), c.MAC, nil)
		if !mac.Verify(c.Message, c.MAC) {
			t.Errorf("CMAC of %x not verified", c.Message)
		}
	}
	for _, c := range v.Wrap {
		got, err := Wrap(nil, c.KEK.key(), c.Key.key())
		same("wrap", got, c.Wrapped, err)
		key, err := Unwrap(c.KEK.key(), c.Wrapped)
		same("unwrap", key.Bytes(), c.Key, err)
	}
}
