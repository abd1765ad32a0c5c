package keyvault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// Write implements Vault. It looks before each write: a write whose answer was
// lost is found, and not made twice. The CKN goes first: without a CAK it is
// nothing.
func (c *Client) Write(ctx context.Context, p Pair) (*Written, error) {
	if err := c.writable(p); err != nil {
		return nil, err
	}
	p.NotBefore, p.Expires = seconds(&p.NotBefore), seconds(&p.Expires)
	g, err := c.pair(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	there := g.all()
	if err := c.mayComplete(g, p); err != nil {
		return nil, err
	}
	if len(there) > 0 { // what is there says how the rest is to be
		v := there[0]
		p.Owner, p.NotBefore, p.Expires, p.Fallback, p.ExpiresHard = v.Owner, v.NotBefore, v.Expires, v.Fallback, v.ExpiresHard
	}
	wrote := map[Kind]*secret.Key{}
	defer func() {
		for _, k := range wrote {
			k.Zero()
		}
	}()
	for _, kind := range c.kinds() {
		if slices.ContainsFunc(there, func(v Version) bool { return v.Kind == kind }) {
			continue
		}
		if wrote[kind], err = c.set(ctx, kind, p); err != nil {
			return nil, err
		}
	}
	w, err := c.readBack(ctx, p, wrote)
	if err != nil {
		return nil, err
	}
	w.Found = len(there)
	return w, nil
}

// writable tells what of p, or of this client, makes it no pair to write.
func (c *Client) writable(p Pair) error {
	switch {
	case c.names[Certificate] != "":
		return faultf(Local, "certificate %s: the vault makes it, and linkseal writes none; have it make one (az keyvault certificate create or import)", c.names[Certificate])
	case !pairForm.MatchString(p.ID):
		return faultf(Local, "%s id %.80q; accepted: 1 to 64 letters, digits, dots, colons, dashes, underscores", c.noun(), p.ID)
	case c.names[PSK] != "" && p.Octets != pskOctets:
		return faultf(Local, "PSK %s of %d octets; accepted: %d", p.ID, p.Octets, pskOctets)
	case p.Octets != 16 && p.Octets != 32:
		return faultf(Local, "pair %s: a CAK of %d octets; accepted: 16, 32", p.ID, p.Octets)
	case c.names[PSK] == "" && p.Text:
		return faultf(Local, "pair %s: a CAK as text; accepted: octets", p.ID)
	case p.Owner != printable(p.Owner, 256):
		return faultf(Local, "%s %s: owner %.80q; accepted: at most 256 characters of ASCII", c.noun(), p.ID, p.Owner)
	case !p.Expires.IsZero() && !p.Expires.After(p.NotBefore):
		return faultf(Local, "%s %s: it expires before it begins; accepted: a later end", c.noun(), p.ID)
	case p.ExpiresHard && p.Expires.IsZero():
		return faultf(Local, "%s %s: it expires hard, and does not expire; accepted: an end", c.noun(), p.ID)
	}
	return nil
}

// pair is what the vault has of the pair of this id.
func (c *Client) pair(ctx context.Context, id string) (*group, error) {
	versions, err := c.versions(ctx, true)
	if err != nil {
		return nil, err
	}
	groups, _ := grouped(versions)
	for _, g := range groups {
		if g.id == id {
			return g, nil
		}
	}
	return &group{id: id}, nil
}

// mayComplete refuses what cannot become one pair by writing what is missing.
func (c *Client) mayComplete(g *group, p Pair) error {
	state, why := g.state()
	for _, v := range g.all() {
		if v.Owner != p.Owner {
			return faultf(RefusedPair, "%[1]s %[2]s in vault %[3]s belongs to %[4]q, not to %[5]q; write another %[1]s", c.noun(), p.ID, c.host, v.Owner, p.Owner)
		}
	}
	switch {
	case len(g.all()) == 0 || state == Complete || state == Half:
	case state == Disabled || state == HalfDisabled:
		return faultf(RefusedPair, "%[1]s %[2]s in vault %[3]s is disabled; write another %[1]s", c.noun(), p.ID, c.host)
	default:
		return faultf(RefusedPair, "%s %s in vault %s: %s", c.noun(), p.ID, c.host, why)
	}
	return nil
}

// set writes a version with a random value, and returns what that will be read
// as.
func (c *Client) set(ctx context.Context, kind Kind, p Pair) (*secret.Key, error) {
	name := c.names[kind]
	random, ct := secret.Random, typeHex
	if p.Text {
		random, ct = secret.RandomText, typeText
	}
	octets, err := random(rand.Reader, p.Octets)
	if err != nil {
		return nil, &Fault{Kind: Local, Text: err.Error()}
	}
	on, text := true, hex.EncodeToString(octets.Bytes())
	if p.Text {
		text = string(octets.Bytes())
	}
	tags := map[string]*string{tagFor(kind): &p.ID}
	put := func(name, value string, is bool) {
		if is {
			tags[name] = &value
		}
	}
	put(tagOwner, p.Owner, p.Owner != "")
	put(tagFallback, "true", p.Fallback)
	put(tagHard, "true", p.ExpiresHard)
	attributes := &azsecrets.SecretAttributes{Enabled: &on}
	if !p.NotBefore.IsZero() {
		attributes.NotBefore = &p.NotBefore
	}
	if !p.Expires.IsZero() {
		attributes.Expires = &p.Expires
	}
	ctx, t := withTrace(ctx, "write a version of secret "+name)
	if _, err := c.sdk.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: &text, ContentType: &ct, SecretAttributes: attributes, Tags: tags}, nil); err != nil {
		octets.Zero()
		return nil, t.fault(ctx, err)
	}
	return octets, nil
}

// readBack reads the pair as everybody else will, and compares it with what
// was asked for and with what was written.
func (c *Client) readBack(ctx context.Context, p Pair, wrote map[Kind]*secret.Key) (*Written, error) {
	g, err := c.pair(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	mixed := func(format string, args ...any) error {
		return faultf(RefusedPair, "%s %s in vault %s is refused after it was written: "+format, append([]any{c.noun(), p.ID, c.host}, args...)...)
	}
	if state, why := g.state(); state != Complete {
		if why == "" {
			why = "it is disabled, or gone; write another"
		}
		return nil, mixed("%s", why)
	}
	v := g.first()
	if !v.NotBefore.Equal(p.NotBefore) || !v.Expires.Equal(p.Expires) || v.Fallback != p.Fallback || v.ExpiresHard != p.ExpiresHard || v.Owner != p.Owner {
		return nil, mixed("its window or tags are not those that were written; find out who else writes them")
	}
	w := &Written{Pinned: *g.pinned(), NotBefore: v.NotBefore, Expires: v.Expires}
	for _, ref := range g.members() {
		value, f := c.value(ctx, ref)
		if f != nil {
			return nil, f
		}
		defer value.Octets.Zero()
		switch {
		case value.Wrong != "":
			return nil, mixed("%s %s", ref.name(), value.Wrong)
		case value.Text != p.Text:
			return nil, mixed("%s is %s, not %s; write another", ref.name(), written(value.Text), written(p.Text))
		case !p.Text && value.Octets.Len() != p.Octets:
			return nil, mixed("%s is %d octets, not %d; write another", ref.name(), value.Octets.Len(), p.Octets)
		case wrote[ref.Kind] != nil && !value.Octets.Equal(wrote[ref.Kind]):
			return nil, mixed("%s has another value than was written; find out who else writes it", ref.name())
		}
		if ref.Kind == CKN {
			w.CKN = keychain.CKN(value.Octets.Bytes())
		}
	}
	return w, nil
}

// written says how a PSK is.
func written(text bool) string {
	if text {
		return "text"
	}
	return "octets in hex"
}

// noun is what the client's secrets make.
func (c *Client) noun() string {
	switch {
	case c.names[PSK] != "":
		return "PSK"
	case c.names[Certificate] != "":
		return "certificate"
	}
	return "pair"
}

// Disable implements Vault.
func (c *Client) Disable(ctx context.Context, pair string) error {
	g, err := c.pair(ctx, pair)
	if err != nil {
		return err
	}
	off := false
	for _, v := range slices.Concat(g.cak, g.ckn, g.psk) {
		if !v.Enabled {
			continue
		}
		ctx, t := withTrace(ctx, "disable version "+v.ID+" of secret "+c.names[v.Kind])
		if _, err := c.sdk.UpdateSecretProperties(ctx, c.names[v.Kind], v.ID, azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: &off}}, nil); err != nil {
			return t.fault(ctx, err)
		}
	}
	return nil
}

// List implements Vault.
func (c *Client) List(ctx context.Context) ([]Listed, error) {
	versions, err := c.versions(ctx, true)
	if err != nil {
		return nil, err
	}
	groups, _ := grouped(versions)
	return listed(groups), nil
}

// Window is when the pair may be used.
func (w *Written) Window() keychain.Window {
	return keychain.Window{NotBefore: w.NotBefore, Expires: w.Expires}
}

// Window is when the pair may be used.
func (l *Listed) Window() keychain.Window {
	return keychain.Window{NotBefore: l.NotBefore, Expires: l.Expires}
}
