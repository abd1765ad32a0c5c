package file

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

// CreatePSK is Create for a PSK.
func CreatePSK(path string, p keychain.PSK) (err error) {
	erase.Do(func() {
		if err = writable(p); err == nil {
			err = create(path, entryPSK(p, "  "))
		}
	})
	return err
}

// AppendPSK is Append for a PSK; the ids of a file are unique.
func AppendPSK(path string, p keychain.PSK) (err error) {
	erase.Do(func() {
		if err = writable(p); err == nil {
			err = extendPSK(path, p)
		}
	})
	return err
}

func extendPSK(path string, p keychain.PSK) error {
	return edit(path, func(old []byte, before *keychain.Keychain) ([]byte, error) {
		if before.FindPSK(p.ID) != nil {
			return nil, fmt.Errorf("key file %s has PSK %s already; use another id", path, p.ID)
		}
		if len(before.Keys) > 0 {
			return nil, fmt.Errorf("key file %s holds MACsec keys of a port; a PSK needs a keychain of its own", path)
		}
		return joined(old, entryPSK(p, indent(old))), nil
	}, func(before, after *keychain.Keychain) error {
		if changes := keychain.DiffPSKs(before, after); after == nil || len(changes) != 1 || changes[0].Old != nil ||
			!changes[0].New.Secret.Equal(p.Secret) || changes[0].ID() != p.ID {
			return styled(path)
		}
		return nil
	})
}

// RemovePSK is Remove for the PSK of that id.
func RemovePSK(path, id string) (err error) {
	erase.Do(func() { err = removePSK(path, id) })
	return err
}

func removePSK(path, id string) error {
	return edit(path, func(old []byte, before *keychain.Keychain) ([]byte, error) {
		p := before.FindPSK(id)
		switch {
		case p == nil:
			return nil, nil
		case len(before.PSKs) == 1:
			return nil, fmt.Errorf("key file %s has no PSK but %s; add another before this one is removed", path, id)
		}
		return without(old, p.Origin.Line), nil
	}, func(before, after *keychain.Keychain) error {
		if changes := keychain.DiffPSKs(before, after); after == nil || len(changes) != 1 || changes[0].New != nil || changes[0].ID() != id {
			return fmt.Errorf("key file %s: PSK %s cannot be removed in its style; write its keys one below the other, each after a dash, or remove it by hand", path, id)
		}
		return nil
	})
}

// writable refuses what cannot be written as it is: text is written by its
// octets, never as a string that YAML would escape.
func writable(p keychain.PSK) error {
	if !p.Text {
		return nil
	}
	for _, b := range p.Secret.Bytes() {
		if b < ' ' || b > '~' || b == '"' || b == '\\' {
			return fmt.Errorf("PSK %s: psk_text of other characters than those of ASCII that need no escape; write it by hand", p.ID)
		}
	}
	return nil
}

// entryPSK is a PSK as an element of a block list. JSON's strings are YAML's.
func entryPSK(p keychain.PSK, indent string) []byte {
	id, _ := json.Marshal(p.ID) // a string always encodes
	// Sized so that no growth leaves a copy of the key behind.
	out := bytes.NewBuffer(make([]byte, 0, 512+len(id)+2*p.Secret.Len()+8*len(indent)))
	fmt.Fprintf(out, "%s- id: %s\n%s  ", indent, id, indent)
	if p.Text {
		out.WriteString("psk_text: \"")
		out.Write(p.Secret.Bytes())
	} else {
		octets := make([]byte, hex.EncodedLen(p.Secret.Len()))
		hex.Encode(octets, p.Secret.Bytes())
		out.WriteString("psk: \"")
		out.Write(octets)
		clear(octets)
	}
	out.WriteString("\"\n")
	when(out, indent, p.Window, p.ExpiresHard, p.Fallback)
	return out.Bytes()
}
