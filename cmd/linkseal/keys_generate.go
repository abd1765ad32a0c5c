package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

type generateFlags struct {
	config, out, cipher, notBefore, expires, pair string
	id                                            string // of a PSK
	cknLength                                     int    // 0: the default
	expiresHard, fallback, json, showKeys         bool
	takeOver, psk, pskText                        bool
}

// generated is what keys generate prints with --json.
type generated struct {
	Keychain string `json:"keychain,omitempty"`
	Path     string `json:"path,omitempty"`
	Vault    string `json:"vault,omitempty"` // its URL
	keyDocument
	halves []string // other pairs of the vault, of which only a half is there
}

// where the key is.
func (d *generated) where() string {
	if d.Vault != "" {
		return "vault " + d.Vault
	}
	return d.Path
}

func (d *generated) write(w io.Writer) error {
	if d.CKN == nil {
		return d.writePSK(w)
	}
	if d.Vault != "" {
		_, err := fmt.Fprintf(w, "new key in %s\nckn:         %s (%d bit)\npair:        %s\nversions:    cak %s, ckn %s\n", d.where(), d.CKN, d.Octets*8, d.Pair, d.CAKVersion, d.CKNVersion)
		return err
	}
	text := fmt.Sprintf("new key in %s\nckn:         %s\nfingerprint: %s (%d bit)\n", d.Path, d.CKN, d.Fingerprint, d.Octets*8)
	if d.CAK != "" { // with --show-keys
		text += fmt.Sprintf("cak:         %s\n", d.CAK)
	}
	_, err := io.WriteString(w, text)
	return err
}

func keysGenerateVerb() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use:   "generate KEYCHAIN --config FILE | generate --out FILE",
		Short: "Make a new CKN and CAK, or a PSK, in a keychain",
		Long: `Make a new CKN and CAK from the kernel's random numbers and add it to the file
of KEYCHAIN, or write it to a new file, mode 0600. The folder of KEYCHAIN's file
is made if it is not there. A running daemon takes a key
up as soon as it is in the file; traffic moves to it when the other end has it
too. Bring the pair to the other end over a way that you trust with it.

A pair for a keychain in a vault is written to it, with one pair id on both
secrets, and read back; both ends take it from there. --pair ID completes one
that was cut off, and finds one that is there: it can be run again. --take-over
makes this appliance the one that rotates the keychain, in the place of another.

A keychain that tunnels use, or whose vault has psk: NAME, gets a PSK: 32 octets,
or text of letters and digits where IPsec tunnels alone use it. --psk and --psk-text
ask for one, in a new file too. It starts at once if --not-before does not say
when; both ends are to have it by then.`,
		Example: `  linkseal keys generate link1 --config /etc/linkseal/linkseal.yaml --not-before 1h
  linkseal keys generate --out link1.yaml --cipher gcm-aes-xpn-256
  linkseal keys generate hub1-psk --config /etc/linkseal/linkseal.yaml --not-before 1h`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			doc, err := f.generate(c.Context(), args, time.Now())
			if err != nil {
				return err
			}
			if f.json {
				err = writeJSON(c.OutOrStdout(), doc)
			} else {
				err = doc.write(c.OutOrStdout())
			}
			for _, half := range doc.halves {
				fmt.Fprintf(c.ErrOrStderr(), "linkseal: of pair %s only a half is in the vault, and it is not used; --pair %s completes it, or disable it\n", half, half)
			}
			if err != nil {
				return fmt.Errorf("the new key is in %s, but could not be told: %w", doc.where(), err)
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.config, "config", "", "the configuration `FILE` that has KEYCHAIN")
	fl.StringVar(&f.out, "out", "", "a new key `FILE` to make instead")
	fl.StringVar(&f.cipher, "cipher", "", "make the CAK as long as this cipher `SUITE` wants (default: the ports', else gcm-aes-256)")
	fl.StringVar(&f.notBefore, "not-before", "", "use it from this `TIME` on: 2026-11-01T00:00:00Z, or 1h or 30d from now")
	fl.StringVar(&f.expires, "expires", "", "use it until this `TIME`")
	fl.BoolVar(&f.expiresHard, "expires-hard", false, "cut at that time even while it carries traffic")
	fl.BoolVar(&f.fallback, "fallback", false, "prefer it last")
	fl.IntVar(&f.cknLength, "ckn-length", 0, "`OCTETS` of the CKN, 1 to 32 (default 16; in a vault as long as the CAK)")
	fl.StringVar(&f.pair, "pair", "", "in a vault: the `ID` of the pair, to complete one that is half there (default: random)")
	fl.BoolVar(&f.psk, "psk", false, "a PSK of 32 octets (default: as KEYCHAIN is used)")
	fl.BoolVar(&f.pskText, "psk-text", false, "a PSK that is text of letters and digits, for peers that take no other")
	fl.StringVar(&f.id, "id", "", "the `ID` of the PSK (default: random); in a vault one that is there is found")
	fl.BoolVar(&f.takeOver, "take-over", false, "in a vault: be the owner that rotates the keychain, though another is")
	fl.BoolVar(&f.json, "json", false, "one JSON document on standard output")
	fl.BoolVar(&f.showKeys, "show-keys", false, "print the CAK, or the PSK, too")
	return c
}

func (f *generateFlags) generate(ctx context.Context, args []string, now time.Time) (doc generated, err error) {
	var ports []config.Port
	psk := f.psk || f.pskText
	if f.psk && f.pskText {
		return doc, usage(errors.New("--psk and --psk-text; accepted: one of them"))
	}
	if f.cknLength < 0 || f.cknLength > keychain.MaxCKN {
		return doc, usage(fmt.Errorf("--ckn-length %d; accepted: 1 to %d", f.cknLength, keychain.MaxCKN))
	}
	switch {
	case f.out != "" && f.config == "" && len(args) == 0:
		doc.Path = f.out
	case f.out == "" && f.config != "" && len(args) == 1:
		cfg, err := config.Load(f.config)
		if err != nil {
			return doc, err
		}
		var chain *config.Keychain
		if chain, ports, err = f.target(cfg, args[0]); err != nil {
			return doc, err
		}
		if psk, err = f.wants(cfg, *chain); err != nil {
			return doc, err
		}
		if chain.Vault != nil {
			return f.inVault(ctx, cfg, chain, ports, now)
		}
		doc.Keychain, doc.Path = args[0], chain.Path
	default:
		return doc, usage(errors.New("keys generate takes KEYCHAIN and --config FILE, or --out FILE alone"))
	}
	if f.pair != "" || f.takeOver {
		return doc, usage(errors.New("--pair and --take-over go with a keychain in a vault alone"))
	}
	if psk {
		return f.pskInFile(doc, now)
	}
	if f.id != "" {
		return doc, usage(errors.New("--id goes with a PSK alone; a CAK has a CKN, which is random"))
	}
	k, err := f.key(ports, now)
	if err != nil {
		return doc, err
	}
	defer k.CAK.Zero()
	there, err := f.there(&doc)
	if err != nil {
		return doc, err
	}
	write := file.Create
	if there {
		write = file.Append
	}
	if err := replaced(doc.Path, write(doc.Path, k)); err != nil {
		return doc, err
	}
	doc.keyDocument = keyOf(k.CAK, k.Window, k.State(now))
	if f.showKeys {
		doc.CAK = hex.EncodeToString(k.CAK.Bytes())
	}
	doc.CKN, doc.ExpiresHard, doc.Fallback = &k.CKN, k.ExpiresHard, k.Fallback
	return doc, nil
}

// there tells whether the file of doc is to be extended. The folder of a
// keychain's is made: nobody else makes that of the first.
func (f *generateFlags) there(doc *generated) (bool, error) {
	if f.out != "" {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(doc.Path), 0o700); err != nil {
		return false, fmt.Errorf("folder of keychain %s: %w; its path in %s names another", doc.Keychain, err, f.config)
	}
	_, err := os.Stat(doc.Path)
	return !errors.Is(err, fs.ErrNotExist), nil
}

// replaced is err of a write, in words where the file is there already.
func replaced(path string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is never replaced; name another --out", path)
	}
	return err
}

// target is a keychain and the ports that use it.
func (f *generateFlags) target(cfg *config.Config, name string) (chain *config.Keychain, ports []config.Port, err error) {
	if chain = cfg.Keychain(name); chain == nil {
		return nil, nil, fmt.Errorf("%s has no keychain %s; linkseal keys list --config %s lists them", f.config, name, f.config)
	}
	for _, p := range cfg.Ports {
		if p.Keychain == name {
			ports = append(ports, p)
		}
	}
	return chain, ports, nil
}

// key makes the pair that the flags describe, fit for ports.
func (f *generateFlags) key(ports []config.Port, now time.Time) (k keychain.Key, err error) {
	w, err := f.window(ports, now)
	if err != nil {
		return k, err
	}
	length := f.cknLength
	if length == 0 {
		length = 16
	}
	ckn := make([]byte, length)
	rand.Read(ckn) // never fails
	k.CKN, k.Window, k.ExpiresHard, k.Fallback = keychain.CKN(ckn), w.Window, f.expiresHard, f.fallback
	k.CAK, err = secret.Random(rand.Reader, w.octets)
	return k, err
}

// window is what the flags say of a key, fit for ports, but its octets.
func (f *generateFlags) window(ports []config.Port, now time.Time) (w wanted, err error) {
	w.octets = 32
	if f.cipher != "" {
		suite, ok := sa.ParseSuite(f.cipher)
		if !ok {
			return w, usage(fmt.Errorf("--cipher %s is no cipher suite; accepted: %v", f.cipher, sa.Suites()))
		}
		w.octets = suite.KeyLen()
		for _, p := range ports {
			if need := p.Cipher.Suite().KeyLen(); w.octets < need {
				return w, usage(fmt.Errorf("--cipher %s makes a CAK of %d octets, and port %s has cipher %s, which needs %d; leave --cipher out", f.cipher, w.octets, p.Name, p.Cipher, need))
			}
		}
	} else if len(ports) > 0 {
		w.octets = 0
		for _, p := range ports {
			w.octets = max(w.octets, p.Cipher.Suite().KeyLen())
		}
	}
	if w.NotBefore, err = when("--not-before", f.notBefore, now); err != nil {
		return w, err
	}
	if w.Expires, err = when("--expires", f.expires, now); err != nil {
		return w, err
	}
	switch {
	case !w.Expires.IsZero() && !w.Expires.After(w.NotBefore):
		return w, usage(errors.New("--expires is not after --not-before; accepted: a later time"))
	case !w.Expires.IsZero() && !w.Expires.After(now):
		return w, usage(fmt.Errorf("--expires %s is past; accepted: a time to come", f.expires))
	case f.expiresHard && w.Expires.IsZero():
		return w, usage(errors.New("--expires-hard needs --expires"))
	}
	return w, nil
}

// when reads a time, or a duration from now on, in whole seconds as a key
// file has them. Empty is the zero time.
func when(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := strict.ParseDuration(text); err == nil {
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usage(fmt.Errorf("%s %q is no time; accepted: 2026-11-01T00:00:00Z, or a duration from now as 1h or 30d", flag, text))
	}
	return t.UTC().Truncate(time.Second), nil
}
