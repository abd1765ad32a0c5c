package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/inspect"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// inspectFlags is the verb's command line.
type inspectFlags struct {
	caks, ckns, keychains        []string
	sak, cipher, sci, salt, ssci string
	pnHigh, etherType            string
	json, showKeys               bool
}

func inspectVerb() *cobra.Command {
	var f inspectFlags
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Explain a capture: MKA, MACsec, tunnels, and why the link is down",
		Long: `Explain the frames of a pcap or pcapng FILE (- is standard input) of a MACsec
port: what every MKPDU says, the SAKs that the MKPDUs distribute, whether the
MACsec frames are authentic under them; and at the end why the link is up or
down. With --json, one object a line; the verdict then goes to standard error.

On the underlay of a tunnel: ESP (by itself or in UDP), IKE's exchanges and
WireGuard's messages, by their outer headers and without keys; and at the end
the SAs and sessions, the numbers that are missing in them, and what IP is in
clear beside them.

Keys on the command line can be seen by other users of this machine:
--keychain FILE and --cak @FILE keep them off it.`,
		Example: `  linkseal inspect --keychain /etc/linkseal/keys/link1.yaml link1.pcap
  tcpdump -i eth1 -U -w - | linkseal inspect --keychain link1.yaml -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("inspect takes one capture FILE, or - for standard input; got %d", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			in, err := inspect.New(o)
			zeroKeys(o)
			if err != nil {
				return usage(err)
			}
			defer in.Close()
			ctx, stop := onlyFirst(untilSignal(c))
			defer stop()
			return runInspect(ctx, args[0], in, f.json, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	p := c.Flags()
	p.StringArrayVar(&f.caks, "cak", nil, "CAK in `HEX`, or @FILE with the hex in it; repeat in pairs with --ckn")
	p.StringArrayVar(&f.ckns, "ckn", nil, "CKN in `HEX`, 1 to 32 octets; repeat in pairs with --cak")
	p.StringArrayVar(&f.keychains, "keychain", nil, "keychain `FILE` with CAKs")
	p.StringVar(&f.sak, "sak", "", "SAK in `HEX`, or @FILE, for frames whose MKPDUs are not in the capture")
	p.StringVar(&f.cipher, "cipher", "", "cipher suite `NAME` of --sak: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256")
	p.StringVar(&f.sci, "sci", "", "SCI in `HEX` of frames that do not carry one, with --sak")
	p.StringVar(&f.salt, "salt", "", "salt in `HEX`, 12 octets, with --sak of an XPN suite")
	p.StringVar(&f.ssci, "ssci", "", "SSCI in `HEX`, with --sak of an XPN suite; small ones are tried besides")
	p.StringVar(&f.pnHigh, "pn-high", "", "high 32 bits in `HEX` of the first packet number, with --sak of an XPN suite")
	p.StringVar(&f.etherType, "ethertype", "", "EtherType in `HEX` of EAPOL, where it is not 0x888e")
	p.BoolVar(&f.json, "json", false, "one JSON object a line, a line a frame")
	p.BoolVar(&f.showKeys, "show-keys", false, "print SAKs and decrypted frames")
	return c
}

func zeroKeys(o inspect.Options) {
	for _, c := range o.CAKs {
		c.CAK.Zero()
	}
	for _, s := range o.SAKs {
		s.SAK.Zero()
	}
}

// options checks the command line. Errors name the flag and never its value
// where that is a key.
func (f *inspectFlags) options() (o inspect.Options, err error) {
	o.ShowKeys = f.showKeys
	if len(f.caks) != len(f.ckns) {
		return o, usage(fmt.Errorf("%d --cak and %d --ckn; give them in pairs", len(f.caks), len(f.ckns)))
	}
	for i := range f.caks {
		cak, err := keyFlag("--cak", f.caks[i], 16, 32)
		if err != nil {
			return o, err
		}
		ckn, err := hex.DecodeString(f.ckns[i])
		if err != nil || len(ckn) < 1 || len(ckn) > 32 {
			return o, usage(fmt.Errorf("--ckn %q is not 1 to 32 octets in hex", f.ckns[i]))
		}
		o.CAKs = append(o.CAKs, inspect.CAK{CKN: ckn, CAK: cak})
	}
	for _, path := range f.keychains {
		chain, err := file.Load(path)
		if err != nil {
			return o, err
		}
		for i := range chain.Keys {
			k := &chain.Keys[i]
			o.CAKs = append(o.CAKs, inspect.CAK{CKN: []byte(k.CKN), CAK: k.CAK})
		}
	}
	if f.etherType != "" {
		n, err := strconv.ParseUint(strings.TrimPrefix(f.etherType, "0x"), 16, 16)
		if err != nil || n < 0x600 {
			return o, usage(fmt.Errorf("--ethertype %q is not an EtherType: 0600 to ffff in hex", f.etherType))
		}
		o.EtherType = uint16(n)
	}
	return o, f.bareSAK(&o)
}

// bareSAK adds --sak and what goes with it.
func (f *inspectFlags) bareSAK(o *inspect.Options) error {
	if f.sak == "" {
		for name, value := range map[string]string{"--cipher": f.cipher, "--sci": f.sci, "--salt": f.salt, "--ssci": f.ssci, "--pn-high": f.pnHigh} {
			if value != "" {
				return usage(fmt.Errorf("%s goes with --sak, which is missing", name))
			}
		}
		return nil
	}
	suite, ok := sa.ParseSuite(f.cipher)
	if !ok {
		return usage(fmt.Errorf("--cipher %q: --sak needs one of %v", f.cipher, sa.Suites()))
	}
	key, err := keyFlag("--sak", f.sak, suite.KeyLen())
	if err != nil {
		return err
	}
	s := inspect.SAK{SAK: key, Suite: suite}
	if f.sci != "" {
		if s.SCI, err = sa.ParseSCI(f.sci); err != nil {
			return usage(fmt.Errorf("--sci: %w", err))
		}
	}
	switch xpn := f.salt + f.ssci + f.pnHigh; {
	case suite.XPN() && f.salt == "":
		return usage(fmt.Errorf("--cipher %v needs --salt", suite))
	case !suite.XPN() && xpn != "":
		return usage(fmt.Errorf("--cipher %v has no salt, SSCI or high packet number", suite))
	case !suite.XPN():
		o.SAKs = append(o.SAKs, s)
		return nil
	}
	salt, err := hex.DecodeString(f.salt)
	if err != nil || len(salt) != len(s.Salt) {
		return usage(fmt.Errorf("--salt %q is not %d octets in hex", f.salt, len(s.Salt)))
	}
	copy(s.Salt[:], salt)
	if s.SSCI, err = word("--ssci", f.ssci); err != nil {
		return err
	}
	if s.PNHigh, err = word("--pn-high", f.pnHigh); err != nil {
		return err
	}
	o.SAKs = append(o.SAKs, s)
	return nil
}

// word reads up to 4 octets in hex, absent for 0.
func word(name, text string) (uint32, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil {
		return 0, usage(fmt.Errorf("%s %q is not 1 to 8 hex digits", name, text))
	}
	return uint32(n), nil
}

// keyFlag reads key octets in hex from a flag's value, or from the file that
// it names after an @.
func keyFlag(name, value string, octets ...int) (*secret.Key, error) {
	text := []byte(value)
	if path, ok := strings.CutPrefix(value, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text = bytes.TrimSpace(b)
	}
	b := make([]byte, hex.DecodedLen(len(text)))
	_, err := hex.Decode(b, text)
	clear(text)
	for _, n := range octets {
		if err == nil && len(b) == n {
			return secret.New(b), nil
		}
	}
	clear(b)
	return nil, usage(fmt.Errorf("%s is not %s octets in hex", name, strings.ReplaceAll(strings.Trim(fmt.Sprint(octets), "[]"), " ", " or ")))
}

// runInspect explains the capture at path frame by frame and gives the
// verdict. It returns an error where the capture could not be read to its end.
func runInspect(ctx context.Context, path string, in *inspect.Inspector, asJSON bool, stdin io.Reader, stdout, stderr io.Writer) error {
	capture, err := openCapture(ctx, path, stdin)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return err
	}
	if path == "-" {
		path = "standard input"
	}
	out := bufio.NewWriter(stdout)
	frames, err := explain(ctx, capture, in, out, asJSON, path == "standard input")
	verdict := io.Writer(out)
	if asJSON {
		verdict = stderr
	} else {
		fmt.Fprintln(out)
	}
	fmt.Fprintln(verdict, "verdict")
	for _, line := range in.Verdict() {
		fmt.Fprintln(verdict, "  "+line)
	}
	if ferr := out.Flush(); ferr != nil {
		return fmt.Errorf("output: %w", ferr)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("%s: after frame %d: %w", path, frames, err)
}

// openCapture opens the file at path, or stdin for -, and reads its header. A
// pipe that nobody writes to is left in its goroutine when ctx ends. The file
// stays open until the process ends.
func openCapture(ctx context.Context, path string, stdin io.Reader) (*inspect.Capture, error) {
	type result struct {
		capture *inspect.Capture
		err     error
	}
	results := make(chan result, 1)
	go func() {
		src, name := stdin, "standard input"
		if path != "-" {
			f, err := os.Open(path)
			if err != nil {
				results <- result{err: err}
				return
			}
			src, name = f, path
		}
		capture, err := inspect.NewCapture(src)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		results <- result{capture, err}
	}()
	select {
	case got := <-results:
		return got.capture, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// explain prints a record a packet until the error that ends the capture.
// live has each record shown at once. A read from a pipe cannot be broken
// off: it is left in its goroutine when ctx ends.
func explain(ctx context.Context, capture *inspect.Capture, in *inspect.Inspector, out *bufio.Writer, asJSON, live bool) (frames int, err error) {
	type result struct {
		packet inspect.Packet
		err    error
	}
	next, results := make(chan struct{}), make(chan result, 1)
	defer close(next)
	go func() {
		for range next {
			p, err := capture.Next()
			results <- result{p, err}
		}
	}()
	for {
		next <- struct{}{}
		var got result
		select {
		case got = <-results:
		case <-ctx.Done():
			return frames, ctx.Err()
		}
		if got.err != nil {
			return frames, got.err
		}
		r := in.Packet(got.packet)
		frames = r.Frame
		if asJSON {
			line, err := json.Marshal(r)
			if err != nil {
				return frames, err
			}
			out.Write(line)
			out.WriteByte('\n')
		} else {
			fmt.Fprintln(out, r.Text())
		}
		if live {
			if err := out.Flush(); err != nil {
				return frames, err
			}
		}
	}
}
