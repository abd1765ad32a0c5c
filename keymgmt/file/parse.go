package file

import (
	"encoding/hex"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

const (
	cknAccepted  = "1 to 32 octets: 2 to 64 hex digits, an even number of them"
	cakAccepted  = "16 or 32 octets: 32 or 64 hex digits"
	pskAccepted  = "32 octets: 64 hex digits"
	textAccepted = "1 to 256 characters"
	idAccepted   = "a name of 1 to 64 characters"
	listAccepted = "a list of keys, each with ckn and cak, or with id and psk or psk_text"
)

// Refused is a key file that could be read and has something wrong in it. It
// wraps Problems, with positions and without any of the content.
type Refused struct {
	Problems strict.Problems
	// Keys are those with a well-formed CKN and CAK, without the octets: what
	// else is wrong with them can still be told.
	Keys []keychain.Outline
}

func (r *Refused) Error() string { return r.Problems.Error() }

func (r *Refused) Unwrap() error { return r.Problems }

// Parse reads a keychain from data, the content of the file name, and zeroes
// data. The error is *Refused: all that is wrong.
func Parse(name string, data []byte) (chain *keychain.Keychain, err error) {
	defer clear(data)
	erase.Do(func() { chain, err = parse(name, data) })
	return chain, err
}

func parse(name string, data []byte) (*keychain.Keychain, error) {
	m, ok := mask(data)
	if !ok {
		return nil, &Refused{Problems: strict.Problems{{Pos: strict.Pos{File: name}, What: "the file is not text", Accepted: "YAML in UTF-8"}}}
	}
	p := parser{mask: m, doc: strict.Parse(name, m.text, true), chain: &keychain.Keychain{}, names: map[string]int{}}
	top := p.doc.Root().Fields("the file", "keys")
	list := top.Need("keys", listAccepted)
	entries := list.List("a key", listAccepted)
	for _, v := range entries {
		p.key(v)
	}
	if len(entries) == 0 && len(p.doc.Problems()) == 0 {
		list.Wrong("keys is empty", listAccepted)
	}
	if len(p.chain.Keys) > 0 && len(p.chain.PSKs) > 0 {
		list.Wrong("MACsec keys and PSKs in one keychain", "a file of the one or of the other")
	}
	if problems := p.doc.Problems(); len(problems) > 0 {
		p.chain.Zero()
		return nil, &Refused{Problems: problems, Keys: p.read}
	}
	return p.chain, nil
}

type parser struct {
	mask  masked
	doc   *strict.Document
	chain *keychain.Keychain
	read  []keychain.Outline
	names map[string]int // CKN or ID -> the line that has it
}

func (p *parser) key(v strict.Value) {
	f := v.Fields("a key", "ckn", "cak", "id", "psk", "psk_text", "not_before", "expires", "expires_hard", "fallback")
	k := keychain.Key{
		Window:      keychain.Window{NotBefore: f.Get("not_before").Time(), Expires: f.Get("expires").Time()},
		ExpiresHard: f.Get("expires_hard").Bool(false),
		Fallback:    f.Get("fallback").Bool(false),
	}
	if !k.Expires.IsZero() && !k.Expires.After(k.NotBefore) {
		f.Get("expires").Wrong("expires is not after not_before", "a later time")
	}
	if k.ExpiresHard && !f.Has("expires") {
		f.Get("expires_hard").Wrong("expires_hard without expires", "expires_hard together with expires")
	}
	if f.Has("id") || f.Has("psk") || f.Has("psk_text") {
		p.psk(f, k)
		return
	}
	ckn, okName := p.hex(f.Need("ckn", cknAccepted), cknAccepted, func(n int) bool { return n >= 1 && n <= keychain.MaxCKN })
	cak, okKey := p.hex(f.Need("cak", cakAccepted), cakAccepted, func(n int) bool { return n == 16 || n == 32 })
	at := f.Get("cak").Pos()
	origin := keychain.Origin{File: at.File, Line: at.Line, Column: at.Column}
	if okName && okKey {
		p.read = append(p.read, keychain.Outline{CKN: keychain.CKN(ckn), Octets: len(cak), Origin: origin})
	}
	if okName && !p.unique(f.Get("ckn"), string(ckn), "this CKN") {
		okName = false
	}
	if !okName || !okKey {
		clear(cak)
		return
	}
	k.CKN, k.CAK, k.Origin = keychain.CKN(ckn), secret.New(cak), origin
	p.chain.Keys = append(p.chain.Keys, k)
}

func (p *parser) psk(f strict.Fields, k keychain.Key) {
	for _, name := range []string{"ckn", "cak"} {
		f.Get(name).Wrong(name+" beside id, psk or psk_text", "ckn and cak, or id and psk, or id and psk_text")
	}
	if f.Has("psk") && f.Has("psk_text") {
		f.Get("psk_text").Wrong("psk and psk_text in one key", "one of them")
	}
	idValue := f.Need("id", idAccepted)
	id, okID := idValue.Text(idAccepted)
	if id = p.mask.unmask(id); okID && len(id) > 64 {
		idValue.Refuse(idAccepted)
		okID = false
	}
	var octets []byte
	var ok bool
	v := f.Get("psk_text")
	if v.Given() {
		var text string
		text, ok = v.Text(textAccepted)
		octets = []byte(p.mask.unmask(text))
		if ok && len(octets) > 256 {
			v.Refuse(textAccepted)
			ok = false
		}
	} else {
		v = f.Need("psk", pskAccepted)
		octets, ok = p.hex(v, pskAccepted, func(n int) bool { return n == 32 })
	}
	if okID && !p.unique(idValue, id, "this id") {
		okID = false
	}
	if !okID || !ok {
		clear(octets)
		return
	}
	at := v.Pos()
	p.chain.PSKs = append(p.chain.PSKs, keychain.PSK{
		ID: id, Secret: secret.New(octets), Text: f.Has("psk_text"), Window: k.Window, ExpiresHard: k.ExpiresHard, Fallback: k.Fallback,
		Origin: keychain.Origin{File: at.File, Line: at.Line, Column: at.Column},
	})
}

func (p *parser) unique(v strict.Value, name, what string) bool {
	if line, dup := p.names[name]; dup {
		v.Wrong(fmt.Sprintf("%s is in line %d already", what, line), "each once in a keychain")
		return false
	}
	p.names[name] = v.Pos().Line
	return true
}

// hex reads a scalar of hex digits as it is written and reports what is wrong
// by lengths alone.
func (p *parser) hex(v strict.Value, accepted string, fits func(octets int) bool) ([]byte, bool) {
	text, ok := v.Text(accepted)
	if !ok {
		return nil, false
	}
	digits, ok := p.mask.digits(text)
	if !ok {
		v.Wrong(v.Name()+" has other characters than hex digits", accepted)
		return nil, false
	}
	for i, b := range digits {
		switch {
		case isHex(b):
		case i == 1 && digits[0] == '0' && (b == 'x' || b == 'X'):
			v.Wrong(v.Name()+" begins with 0x", accepted+", without 0x")
			return nil, false
		case b == '_':
			v.Wrong(v.Name()+" has an underscore", accepted+", nothing between them")
			return nil, false
		default:
			v.Wrong(v.Name()+" has other characters than hex digits", accepted)
			return nil, false
		}
	}
	if len(digits)%2 != 0 {
		v.Wrong(fmt.Sprintf("%s has an odd number of hex digits, %d", v.Name(), len(digits)), accepted)
		return nil, false
	}
	if !fits(len(digits) / 2) {
		v.Wrong(fmt.Sprintf("%s has %d octets", v.Name(), len(digits)/2), accepted)
		return nil, false
	}
	octets := make([]byte, len(digits)/2)
	if _, err := hex.Decode(octets, digits); err != nil {
		clear(octets)
		v.Wrong(v.Name()+" has other characters than hex digits", accepted)
		return nil, false
	}
	return octets, true
}
