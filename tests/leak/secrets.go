// Package leak looks for key octets where they should not be: in logs, files,
// arguments and environments, in any form that prints; and in all that is in a
// process's memory, part by part.
package leak

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// Secret is key octets and a name for them that gives nothing away.
type Secret struct {
	Name   string
	Octets []byte // 16 or 32
}

// Keys are the CAK, and the ICK and KEK that are derived from it. ckn and cak
// are in hex.
func Keys(ckn, cak string) ([]Secret, error) {
	name, err := hex.DecodeString(ckn)
	if err != nil {
		return nil, fmt.Errorf("CKN %s: %w", ckn, err)
	}
	octets, err := hex.DecodeString(cak)
	if err != nil {
		return nil, fmt.Errorf("the CAK of CKN %s is not hex", ckn)
	}
	list := []Secret{{"CAK of CKN " + ckn, append([]byte(nil), octets...)}}
	k := secret.New(octets)
	defer k.Zero()
	for _, d := range []struct {
		name   string
		derive func(*secret.Key, []byte) (*secret.Key, error)
	}{{"ICK", kdf.ICK}, {"KEK", kdf.KEK}} {
		derived, err := d.derive(k, name)
		if err != nil {
			return nil, fmt.Errorf("the %s of CKN %s: %w", d.name, ckn, err)
		}
		list = append(list, Secret{d.name + " of CKN " + ckn, append([]byte(nil), derived.Bytes()...)})
		derived.Zero()
	}
	return list, nil
}

// printed are the forms in which s would be printed: as it is, in hex of either
// case, as Go prints octets, and in base64 of whatever octets come before it.
func (s Secret) printed() []form {
	list := []form{
		{s.Name, string(s.Octets), s.Name},
		{s.Name + " in hex", hex.EncodeToString(s.Octets), s.Name},
		{s.Name + " in hex", strings.ToUpper(hex.EncodeToString(s.Octets)), s.Name},
		{s.Name + " in decimal", strings.Trim(fmt.Sprint(s.Octets), "[]"), s.Name},
		{s.Name + " in hex", fmt.Sprintf("% x", s.Octets), s.Name},
	}
	for shift := range 3 {
		// The first and the last characters hold other octets too.
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), s.Octets...))
		text = strings.TrimRight(text, "=")
		text = text[(8*shift+5)/6 : len(text)-1]
		list = append(list, form{s.Name + " in base64", text, s.Name},
			form{s.Name + " in base64", strings.NewReplacer("+", "-", "/", "_").Replace(text), s.Name})
	}
	return list
}

// held are the forms in which s is found in memory: each 16 octets of it, raw
// and in hex. A key is the beginning of its AES key schedule, and its halves
// are round keys of it; the schedule of decryption ends with them.
func (s Secret) held() []form {
	var list []form
	for at := 0; at+16 <= len(s.Octets); at += 16 {
		part, name := s.Octets[at:at+16], fmt.Sprintf("octets %d to %d of the %s", at, at+15, s.Name)
		list = append(list, form{name, string(part), s.Name}, form{name + ", in hex", hex.EncodeToString(part), s.Name},
			form{name + ", in hex", strings.ToUpper(hex.EncodeToString(part)), s.Name})
	}
	return list
}

// form is one way that a secret is written, or a part of it.
type form struct{ name, octets, secret string }
