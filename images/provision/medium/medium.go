// Package medium reads the files of a medium labelled LINKSEAL:
//
//	linkseal.yaml       the configuration
//	keys/*.yaml         its keychains
//	authorized_keys     who may log in over SSH
//	network/*.network   files of systemd-networkd, also .netdev and .link
//
// and whatever else below /etc/linkseal linkseal.yaml names: a certificate, a
// private key, by the same path as on the medium. Nothing else is read. It is
// given the medium as a file system and changes nothing.
package medium

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/sshkeys"
)

// Names at the root.
const (
	Config         = "linkseal.yaml"
	AuthorizedKeys = "authorized_keys"
	keys           = "keys"
	network        = "network"
)

// ErrNone says that the medium has nothing for an appliance.
var ErrNone = errors.New("there is neither linkseal.yaml nor authorized_keys at its root")

// Read takes what is on the medium. An error is one of the medium or of a
// file that cannot be taken; ErrNone if it has nothing.
func Read(from fs.FS) (*bundle.Bundle, error) {
	b := &bundle.Bundle{}
	for name, to := range map[string]string{Config: bundle.Config, AuthorizedKeys: bundle.AuthorizedKeys} {
		if err := take(b, from, name, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if len(b.Files) == 0 {
		return nil, ErrNone
	}
	if text, ok := b.Get(bundle.AuthorizedKeys); ok {
		if err := sshkeys.Check(AuthorizedKeys, string(text)); err != nil {
			return nil, err
		}
	}
	if err := all(b, from, keys, bundle.Linkseal+"/"+keys, ".yaml"); err != nil {
		return nil, err
	}
	if err := all(b, from, network, bundle.Network, ".network", ".netdev", ".link"); err != nil {
		return nil, err
	}
	text, ok := b.Get(bundle.Config)
	if !ok {
		return b, nil
	}
	for _, name := range named(string(text)) {
		if _, have := b.Get(name); have {
			continue
		}
		err := take(b, from, strings.TrimPrefix(name, bundle.Linkseal+"/"), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // what is missing is Missing's
			return nil, err
		}
	}
	return b, nil
}

// all takes the files of one directory.
func all(b *bundle.Bundle, from fs.FS, dir, to string, extensions ...string) error {
	entries, err := list(from, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, "."): // of the system that wrote the medium
		case !slices.Contains(extensions, path.Ext(name)):
			b.Ignore("%s/%s: the name does not end in %s", dir, name, strings.Join(extensions, ", "))
		default:
			if err := take(b, from, path.Join(dir, name), path.Join(to, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// list are the entries of a directory, of which there may be only so many.
func list(from fs.FS, name string) ([]fs.DirEntry, error) {
	if err := plain(from, name, fs.ModeDir); err != nil {
		return nil, err
	}
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, fmt.Errorf("%s cannot be listed", name)
	}
	const most = 2 * bundle.MaxFiles
	entries, err := dir.ReadDir(most + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err == nil && len(entries) > most {
		err = fmt.Errorf("%s has more than %d entries; accepted: up to so many", name, most)
	}
	return entries, err
}

// take reads one file, whose directories and itself are no links.
func take(b *bundle.Bundle, from fs.FS, name, to string) error {
	data, err := File(from, name)
	if err != nil {
		return err
	}
	return b.Add(to, 0, data)
}

// File reads a file of a medium: a regular one, reached by no link, of up to
// bundle.MaxFile octets.
func File(from fs.FS, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q is no path on a medium", name)
	}
	for at, rest, more := "", name, true; more; {
		var step string
		step, rest, more = strings.Cut(rest, "/")
		at = path.Join(at, step)
		kind := fs.FileMode(0)
		if more {
			kind = fs.ModeDir
		}
		if err := plain(from, at, kind); err != nil {
			return nil, err
		}
	}
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, bundle.MaxFile+1))
	if err == nil && len(data) > bundle.MaxFile {
		err = fmt.Errorf("%s has more than %d octets; accepted: up to so many", name, bundle.MaxFile)
	}
	return data, err
}

// plain refuses links, devices and the like before they are opened.
func plain(from fs.FS, name string, want fs.FileMode) error {
	info, err := fs.Lstat(from, name)
	if err != nil {
		return err
	}
	switch got := info.Mode().Type(); {
	case got == want:
		return nil
	case got == fs.ModeSymlink:
		return fmt.Errorf("%s is a symbolic link; accepted: the file itself", name)
	case want == fs.ModeDir:
		return fmt.Errorf("%s is not a directory", name)
	}
	return fmt.Errorf("%s is not a regular file", name)
}

// named are the files below /etc/linkseal that a configuration names and that
// must be there: keychains, certificates, credentials. The text need not be
// one that passes.
func named(text string) (names []string) {
	for _, r := range references(text) {
		if !r.optional && !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	for _, r := range references(text) {
		if r.optional && !slices.Contains(names, r.name) {
			names = append(names, r.name)
		}
	}
	return names
}

// reference is a file that is named at a place of the configuration.
type reference struct {
	at, name string
	optional bool // linkseal makes it if it is not there
}

func references(text string) (all []reference) {
	c, _ := config.Parse(bundle.Config, text)
	add := func(at, name string, optional bool) {
		if name = path.Clean(name); strings.HasPrefix(name, bundle.Linkseal+"/") {
			all = append(all, reference{at, name, optional})
		}
	}
	add("sealing.path", c.Sealing.Path, true)
	for _, k := range c.Keychains {
		add("keychains."+k.Name+".path", k.Path, false)
		if v := k.Vault; v != nil {
			add("keychains."+k.Name+".ca", v.CA, false)
			add("keychains."+k.Name+".credential", v.Credential.File, false)
		}
	}
	for i, t := range c.Tunnels {
		at := fmt.Sprintf("tunnels.%d.", i)
		if t.WireGuard != nil {
			add(at+"wireguard", t.WireGuard.PrivateKey, true)
		}
		if s := t.IPsec; s != nil {
			add(at+"ipsec", s.CA, false)
			add(at+"ipsec", s.Certificate, false)
			add(at+"ipsec", s.PrivateKey, false)
		}
	}
	return all
}

// Missing says what the bundle's configuration names and it does not have,
// each with its place.
func Missing(b *bundle.Bundle) (missing []string) {
	text, ok := b.Get(bundle.Config)
	if !ok {
		return nil
	}
	c, _ := config.Parse(bundle.Config, string(text))
	for _, r := range references(string(text)) {
		if _, have := b.Get(r.name); !have && !r.optional {
			missing = append(missing, c.Problem(r.at, r.name+" is named and not provided", "a file of that name beside linkseal.yaml").Error())
		}
	}
	return missing
}
