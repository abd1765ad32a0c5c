package main

import (
	"crypto/rand"
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
	config, out, cipher, notBefore, expires string
	cknLength                               int
	expiresHard, fallback, json, showKeys   bool
}

// generated is what keys generate prints with --json.
type generated struct {
	Keychain string `json:"keychain,omitempty"`
	Path     string `json:"path"`
	keyDocument
}

func (d *generated) write(w io.Writer) error {
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
		Short: "Make a new CKN and CAK in a keychain's file",
		Long: `Make a new CKN and CAK from the kernel's random numbers and add it to the file
of KEYCHAIN, or write it to a new file, mode 0600. The folder of KEYCHAIN's file
is made if it is not there. A running daemon takes a key
up as soon as it is in the file; traffic moves to it when the other end has it
too. Bring the pair to the other end over a way that you trust with it.`,
		Example: `  linkseal keys generate link1 --config /etc/linkseal/linkseal.yaml --not-before 1h
  linkseal keys generate --out link1.yaml --cipher gcm-aes-xpn-256`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			doc, err := f.generate(args, time.Now())
			if err != nil {
				return err
			}
			if f.json {
				err = writeJSON(c.OutOrStdout(), doc)
			} else {
				err = doc.write(c.OutOrStdout())
			}
			if err != nil {
				return fmt.Errorf("the new key is in %s, but could not be told: %w", doc.Path, err)
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
	fl.IntVar(&f.cknLength, "ckn-length", 16, "`OCTETS` of the CKN, 1 to 32")
	fl.BoolVar(&f.json, "json", false, "one JSON document on standard output")
	fl.BoolVar(&f.showKeys, "show-keys", false, "print the CAK too")
	return c
}

func (f *generateFlags) generate(args []string, now time.Time) (doc generated, err error) {
	var ports []config.Port
	switch {
	case f.out != "" && f.config == "" && len(args) == 0:
		doc.Path = f.out
	case f.out == "" && f.config != "" && len(args) == 1:
		doc.Keychain = args[0]
		if doc.Path, ports, err = f.target(args[0]); err != nil {
			return doc, err
		}
	default:
		return doc, usage(errors.New("keys generate takes KEYCHAIN and --config FILE, or --out FILE alone"))
	}
	k, err := f.key(ports, now)
	if err != nil {
		return doc, err
	}
	defer k.CAK.Zero()
	write := file.Create
	if f.out == "" {
		// Nobody else makes the folder of the first keychain.
		if err := os.MkdirAll(filepath.Dir(doc.Path), 0o700); err != nil {
			return doc, fmt.Errorf("folder of keychain %s: %w; its path in %s names another", doc.Keychain, err, f.config)
		}
		if _, err := os.Stat(doc.Path); !errors.Is(err, fs.ErrNotExist) {
			write = file.Append
		}
	}
	switch err := write(doc.Path, k); {
	case errors.Is(err, fs.ErrExist):
		return doc, fmt.Errorf("%s is there already and is never replaced; name another --out", doc.Path)
	case err != nil:
		return doc, err
	}
	doc.keyDocument = keyOf(k.CAK, k.Window, k.State(now), f.showKeys)
	doc.CKN, doc.CAK, doc.PSK = &k.CKN, doc.PSK, ""
	doc.ExpiresHard, doc.Fallback = k.ExpiresHard, k.Fallback
	return doc, nil
}

// target is the key file of a keychain and the ports that use it.
func (f *generateFlags) target(name string) (path string, ports []config.Port, err error) {
	cfg, err := config.Load(f.config)
	if err != nil {
		return "", nil, err
	}
	chain := cfg.Keychain(name)
	if chain == nil {
		return "", nil, fmt.Errorf("%s has no keychain %s; linkseal keys list --config %s lists them", f.config, name, f.config)
	}
	for _, p := range cfg.Ports {
		if p.Keychain == name {
			ports = append(ports, p)
		}
	}
	return chain.Path, ports, nil
}

// key makes the pair that the flags describe, fit for ports.
func (f *generateFlags) key(ports []config.Port, now time.Time) (k keychain.Key, err error) {
	octets := 32
	if f.cipher != "" {
		suite, ok := sa.ParseSuite(f.cipher)
		if !ok {
			return k, usage(fmt.Errorf("--cipher %s is no cipher suite; accepted: %v", f.cipher, sa.Suites()))
		}
		octets = suite.KeyLen()
		for _, p := range ports {
			if need := p.Cipher.Suite().KeyLen(); octets < need {
				return k, usage(fmt.Errorf("--cipher %s makes a CAK of %d octets, and port %s has cipher %s, which needs %d; leave --cipher out", f.cipher, octets, p.Name, p.Cipher, need))
			}
		}
	} else if len(ports) > 0 {
		octets = 0
		for _, p := range ports {
			octets = max(octets, p.Cipher.Suite().KeyLen())
		}
	}
	if f.cknLength < 1 || f.cknLength > keychain.MaxCKN {
		return k, usage(fmt.Errorf("--ckn-length %d; accepted: 1 to %d", f.cknLength, keychain.MaxCKN))
	}
	if k.NotBefore, err = when("--not-before", f.notBefore, now); err != nil {
		return k, err
	}
	if k.Expires, err = when("--expires", f.expires, now); err != nil {
		return k, err
	}
	switch {
	case !k.Expires.IsZero() && !k.Expires.After(k.NotBefore):
		return k, usage(errors.New("--expires is not after --not-before; accepted: a later time"))
	case !k.Expires.IsZero() && !k.Expires.After(now):
		return k, usage(fmt.Errorf("--expires %s is past; accepted: a time to come", f.expires))
	case f.expiresHard && k.Expires.IsZero():
		return k, usage(errors.New("--expires-hard needs --expires"))
	}
	ckn := make([]byte, f.cknLength)
	rand.Read(ckn) // never fails
	k.CKN, k.ExpiresHard, k.Fallback = keychain.CKN(ckn), f.expiresHard, f.fallback
	k.CAK, err = secret.Random(rand.Reader, octets)
	return k, err
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
