package sealed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sealed/tpm"
)

// Options are what the configuration says of sealing, and where things are.
type Options struct {
	With string // WithTPM, WithCredential, WithFile; or empty: what is there
	Path string // of the credential or the key file; empty: where it is by default
	PCRs []int  // of the TPM
	// StateDir has the sealed files, and the key file by default.
	StateDir string
	// Device is the TPM; empty: the first of tpm.Devices.
	Device string
	// Patience bounds an operation of it; 0: tpm.DefaultPatience.
	Patience time.Duration
	// Credentials is the directory of the service's credentials; empty:
	// $CREDENTIALS_DIRECTORY (systemd.exec(5)).
	Credentials string
}

// Choose returns the sealer, tried, and why it is that one. Where the options
// name none, and keys have been sealed, it is what they are sealed with: never
// another one in silence. Else it is the TPM if there is one that can be used,
// the service's credential if it has one, a key file. Nothing less takes the
// place of a TPM that only hangs.
func Choose(o Options) (s Sealer, reason string, err error) {
	if o.With != "" {
		s, err := o.try(o.With)
		if err != nil {
			return nil, "", fmt.Errorf("sealing with: %s: %w", o.With, err)
		}
		return s, "configured", nil
	}
	for _, at := range Inspect(o.StateDir) {
		if at.Err != nil {
			continue
		}
		s, err := o.try(at.Sealer)
		if err != nil {
			return nil, "", fmt.Errorf("keys in %s are sealed with: %s, which cannot be used: %w; repair that, or set sealing: {with: …} to seal them with something else from now on", o.StateDir, at.Sealer, err)
		}
		return s, "auto: the keys that are there are sealed with it", nil
	}
	s, noTPM := o.try(WithTPM)
	if noTPM == nil {
		return s, "auto: the TPM can be used", nil
	}
	if errors.Is(noTPM, tpm.ErrHangs) {
		return nil, "", fmt.Errorf("sealing: %w; sealing: {with: file} in the configuration does without it", noTPM)
	}
	if o.credential() != "" {
		if _, err := os.Stat(o.credential()); err == nil {
			s, err := o.try(WithCredential)
			if err != nil {
				return nil, "", fmt.Errorf("sealing: the service has a credential and it cannot be used: %w", err)
			}
			return s, fmt.Sprintf("auto: the service has credential %s, and no TPM can be used: %v", CredentialName, noTPM), nil
		}
	}
	if s, err = o.try(WithFile); err != nil {
		return nil, "", fmt.Errorf("sealing: %w", err)
	}
	return s, fmt.Sprintf("auto: the service has no credential %s, and no TPM can be used: %v", CredentialName, noTPM), nil
}

// Named is the sealer of that name, tried: for what was sealed with it, whichever
// Choose has for what is sealed from now on.
func (o Options) Named(with string) (Sealer, error) {
	s, err := o.try(with)
	if err != nil {
		return nil, fmt.Errorf("sealing with: %s: %w", with, err)
	}
	return s, nil
}

// try makes a sealer and tries what of it can be tried without sealing.
func (o Options) try(with string) (Sealer, error) {
	switch with {
	case WithTPM:
		t := tpm.New(o.Device, o.PCRs)
		t.Patience = o.Patience
		if _, err := t.Probe(); err != nil {
			return nil, err
		}
		return tpmSealer{t}, nil
	case WithCredential:
		path := o.credential()
		if path == "" {
			return nil, fmt.Errorf("the service has no credentials ($CREDENTIALS_DIRECTORY is not set); set LoadCredentialEncrypted=%s in its unit, or give the path", CredentialName)
		}
		s := Credential(path).(*keySealer)
		return s, s.check()
	case WithFile:
		path := ""
		if o.With == WithFile {
			path = o.Path
		}
		s := KeyFile(o.StateDir, path).(*keySealer)
		return s, s.check()
	}
	return nil, fmt.Errorf("unknown sealer %q; accepted: %s, %s, %s", with, WithTPM, WithCredential, WithFile)
}

// credential is its path: a relative one is among the service's credentials.
func (o Options) credential() string {
	name := o.Path
	if name == "" || o.With != WithCredential {
		name = CredentialName
	}
	if filepath.IsAbs(name) {
		return name
	}
	dir := o.Credentials
	if dir == "" {
		dir = os.Getenv("CREDENTIALS_DIRECTORY")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// Stored is what can be told of a sealed file without opening it. Nothing of
// it is authenticated.
type Stored struct {
	File       string // path
	Generation uint64
	Time       time.Time // the newest wall clock when it was written
	Sealer     string
	Err        *Refusal // it cannot be read; the rest is then zero
}

// Inspect lists the sealed files in a state directory, the newest first.
func Inspect(stateDir string) (out []Stored) {
	d := directory{dir: stateDir}
	for _, at := range survey(d) {
		s := Stored{File: d.path(at.name), Err: at.err}
		if at.err == nil {
			s.Generation, s.Time, s.Sealer = at.head.generation, at.head.time, at.head.sealer
		}
		out = append(out, s)
	}
	return out
}
