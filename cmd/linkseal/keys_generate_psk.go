package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// pskOctets are those of a PSK.
const pskOctets = 32

// idForm is what a file and a vault take for the id of a PSK.
var idForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:-]{0,63}$`)

// wants tells whether a PSK is wanted in k, and sets pskText to how. Flags that
// contradict the keychain are a usage error.
func (f *generateFlags) wants(c *config.Config, k config.Keychain) (psk bool, err error) {
	asked := f.psk || f.pskText
	psk = c.PSKs(k)
	unused := k.Vault == nil && !psk && octetsFor(c, k.Name) == 0
	switch {
	case asked && !psk && !unused:
		return false, usage(fmt.Errorf("keychain %s has CAKs of ports; --psk goes with a keychain that tunnels use", k.Name))
	case !asked:
		f.pskText = psk && textFor(c, k.Name)
	}
	if what, accepted := c.TakesPSK(k.Name, f.pskText); psk && what != "" {
		return false, usage(fmt.Errorf("the PSK %s; accepted: %s", what, accepted))
	}
	return psk || asked, nil
}

// textFor tells whether PSKs of a keychain are to be text: IPsec tunnels alone
// use it, whose peers may take no other.
func textFor(c *config.Config, name string) (text bool) {
	for _, t := range c.Tunnels {
		for _, used := range t.Keychains() {
			switch {
			case used != name:
			case t.IPsec == nil:
				return false
			default:
				text = true
			}
		}
	}
	return text
}

// pskWindow is what the flags say of a PSK.
func (f *generateFlags) pskWindow(now time.Time) (w keychain.Window, err error) {
	switch {
	case f.cipher != "":
		return w, usage(errors.New("--cipher does not go with a PSK"))
	case f.cknLength != 0:
		return w, usage(errors.New("--ckn-length does not go with a PSK, which has an id: --id"))
	case f.id != "" && !idForm.MatchString(f.id):
		return w, usage(fmt.Errorf("--id %q; accepted: 1 to 64 letters, digits, dots, colons, dashes, underscores", f.id))
	}
	want, err := f.window(nil, now)
	if w = want.Window; w.NotBefore.IsZero() {
		// Both ends are to agree which is the newest.
		w.NotBefore = now.UTC().Truncate(time.Second)
	}
	return w, err
}

// newID is --id, or a random one.
func (f *generateFlags) newID() string {
	if f.id != "" {
		return f.id
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// pskInFile writes a PSK to the file of doc.
func (f *generateFlags) pskInFile(doc generated, now time.Time) (generated, error) {
	w, err := f.pskWindow(now)
	if err != nil {
		return doc, err
	}
	random := secret.Random
	if f.pskText {
		random = secret.RandomText
	}
	p := keychain.PSK{ID: f.newID(), Text: f.pskText, Window: w, ExpiresHard: f.expiresHard, Fallback: f.fallback}
	if p.Secret, err = random(rand.Reader, pskOctets); err != nil {
		return doc, err
	}
	defer p.Secret.Zero()
	there, err := f.there(&doc)
	if err != nil {
		return doc, err
	}
	write := file.CreatePSK
	if there {
		write = file.AppendPSK
	}
	if err := replaced(doc.Path, write(doc.Path, p)); err != nil {
		return doc, err
	}
	doc.keyDocument = pskOf(&p, p.State(now), f.showKeys)
	return doc, nil
}

// writePSK tells of a new PSK.
func (d *generated) writePSK(w io.Writer) error {
	text := fmt.Sprintf("new PSK in %s\nid:          %s\n", d.where(), d.ID)
	switch {
	case d.Vault != "":
		text += fmt.Sprintf("version:     %s\n", d.Version)
	case d.Text:
		text += "text:        of letters and digits\n"
	default:
		text += fmt.Sprintf("fingerprint: %s (%d bit)\n", d.Fingerprint, d.Octets*8)
	}
	for name, shown := range map[string]string{"psk:         ": d.PSK, "psk_text:    ": d.PSKText} {
		if shown != "" {
			text += name + shown + "\n"
		}
	}
	_, err := io.WriteString(w, text)
	return err
}
