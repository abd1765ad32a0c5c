// Package bundle is what a source of provisioning brings: files, each with the
// place that it has on the appliance. It is pure, and bounds what it takes: a
// medium is a stranger's.
package bundle

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Where files may go.
const (
	// Linkseal is the directory of the configuration, Config the configuration.
	Linkseal = "/etc/linkseal"
	Config   = Linkseal + "/linkseal.yaml"
	// Network has systemd-networkd's files.
	Network = "/etc/systemd/network"
	// AuthorizedKeys are those who may log in over SSH.
	AuthorizedKeys = "/var/etc/ssh/authorized_keys"
	// Hostname is the name that the appliance gives itself at each start.
	Hostname = "/var/lib/linkseal-image/hostname"
)

// What one bundle may have.
const (
	MaxFile  = 1 << 20 // octets of a file
	MaxTotal = 4 << 20 // octets of all
	MaxFiles = 256
	maxDepth = 4   // directories below Linkseal
	maxName  = 128 // octets of each part of a path
)

// File is one file. Mode is never more than its place allows.
type File struct {
	Path string
	Mode fs.FileMode
	Data []byte
}

// Bundle is what one source brings. Add fills it.
type Bundle struct {
	Files []File // in the order of their paths, each once
	// Ignored are what was there and is not understood, each with its reason.
	Ignored []string
}

// Add takes a file, or says why not. A mode of 0 is that of the place; what
// is below Linkseal is for root alone, whatever the source says.
func (b *Bundle) Add(name string, mode fs.FileMode, data []byte) error {
	place, err := place(name)
	if err != nil {
		return err
	}
	if mode == 0 || place.fixed {
		mode = place.mode
	}
	at, dup := slices.BinarySearchFunc(b.Files, name, func(f File, name string) int { return cmp.Compare(f.Path, name) })
	total := len(data)
	for _, f := range b.Files {
		total += len(f.Data)
		if strings.HasPrefix(f.Path, name+"/") || strings.HasPrefix(name, f.Path+"/") {
			return fmt.Errorf("%s and %s: one of them would be a file and a directory", f.Path, name)
		}
	}
	switch {
	case dup:
		return fmt.Errorf("%s is given twice; accepted: each file once", name)
	case len(b.Files) >= MaxFiles:
		return fmt.Errorf("%s is one file more than %d; accepted: up to so many", name, MaxFiles)
	case len(data) > MaxFile:
		return fmt.Errorf("%s has %d octets; accepted: up to %d", name, len(data), MaxFile)
	case total > MaxTotal:
		return fmt.Errorf("%s brings the files to %d octets; accepted: up to %d in all", name, total, MaxTotal)
	}
	b.Files = slices.Insert(b.Files, at, File{Path: name, Mode: mode & place.mode, Data: data})
	return nil
}

// Ignore notes what is not understood.
func (b *Bundle) Ignore(format string, args ...any) {
	const most = 32
	switch n := len(b.Ignored); {
	case n < most:
		b.Ignored = append(b.Ignored, fmt.Sprintf(format, args...))
	case n == most:
		b.Ignored = append(b.Ignored, "and more")
	}
}

// Get is the content of the file that goes to path; false if there is none.
func (b *Bundle) Get(path string) ([]byte, bool) {
	for _, f := range b.Files {
		if f.Path == path {
			return f.Data, true
		}
	}
	return nil, false
}

// Digest is the same for the same files, and for no others.
func (b *Bundle) Digest() string {
	h := sha256.New()
	field := func(p []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write(p)
	}
	for _, f := range b.Files {
		field([]byte(f.Path))
		field(binary.BigEndian.AppendUint32(nil, uint32(f.Mode)))
		field(f.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Zero erases the contents, which may be keys.
func (b *Bundle) Zero() {
	for _, f := range b.Files {
		clear(f.Data)
	}
}

// target is a place: the most mode that a file there has.
type target struct {
	mode  fs.FileMode
	fixed bool // whatever the source says
}

// place is where a path belongs.
func place(name string) (target, error) {
	rest, below := strings.CutPrefix(name, Linkseal+"/")
	switch {
	case name == AuthorizedKeys:
		return target{0o600, true}, nil
	case name == Hostname:
		return target{0o644, true}, nil
	case name != path.Clean(name):
		return target{}, fmt.Errorf("path %q is not plain; accepted: one without . and .. and double slashes", name)
	case path.Dir(name) == Network:
		if err := part(path.Base(name)); err != nil {
			return target{}, err
		}
		if !slices.Contains([]string{".network", ".netdev", ".link"}, path.Ext(name)) {
			return target{}, fmt.Errorf("%s is no file of systemd-networkd; accepted: names that end in .network, .netdev or .link", name)
		}
		return target{0o644, true}, nil // networkd is not root
	case below:
		parts := strings.Split(rest, "/")
		if len(parts) > maxDepth {
			return target{}, fmt.Errorf("%s is too deep; accepted: up to %d names below %s", name, maxDepth, Linkseal)
		}
		for _, p := range parts {
			if err := part(p); err != nil {
				return target{}, err
			}
		}
		return target{mode: 0o600}, nil
	}
	return target{}, fmt.Errorf("%q is outside of what provisioning writes; accepted: files below %s, and in %s", name, Linkseal, Network)
}

// part is one name in a path: no hidden file, nothing that a console would not
// show as it is.
func part(name string) error {
	odd := strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@+", r)
	})
	if name == "" || name[0] == '.' || len(name) > maxName || odd {
		return fmt.Errorf("file name %q; accepted: up to %d letters, digits and ._-@+, no dot first", name, maxName)
	}
	return nil
}
