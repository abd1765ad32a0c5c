// Package bundle is the format of an update file: a tar of a manifest, a minisign
// signature over the manifest, and the parts of an image, each compressed by zstd,
// with its size and SHA-256 in the manifest.
//
// Open verifies the signature before anything else is looked at. The parts are then
// read as a stream in constant memory, and none is handed over in full that is not
// what the manifest says.
package bundle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/linkseal/linkseal/images/part"
)

// Format is the one that this version writes and reads.
const Format = 1

// Image is the name in the manifest of all that this project makes.
const Image = "linkseal"

const (
	// maxManifest and maxSignature bound what is read before it is verified.
	maxManifest, maxSignature = 64 << 10, 4 << 10
	// maxPart bounds a part's size: far more than any slot has.
	maxPart = 16 << 30
)

// Manifest says what an update file holds.
type Manifest struct {
	Format  int    `json:"format"`
	Image   string `json:"image"`
	Version string `json:"version"`
	Arch    string `json:"arch"` // as Go names it
	Parts   []Part `json:"parts"`
}

// Part is one part of the image, uncompressed.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`         // hex
	UUID   string `json:"uuid,omitempty"` // of the root and its hash tree
}

// names are the parts of format 1, all of them and in this order.
var names = []string{part.Root, part.Verity, part.UKI}

// Part finds a part by its name; all of format 1 are there.
func (m *Manifest) Part(name string) Part {
	for _, p := range m.Parts {
		if p.Name == name {
			return p
		}
	}
	return Part{}
}

var (
	versionForm = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,18}){0,4}$`)
	uuidForm    = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	archForm    = regexp.MustCompile(`^[a-z0-9]{1,16}$`)
)

// CheckVersion says what is wrong with the version of an image. Whatever has this
// form is safe in a file's name, and systemd-boot orders it as slot.Compare does.
func CheckVersion(v string) error {
	if !versionForm.MatchString(v) {
		return fmt.Errorf("version %.60q; accepted: numbers and dots, as 20261126.170000", v)
	}
	return nil
}

// ParseManifest decodes a manifest and refuses one that is not whole.
func ParseManifest(text []byte) (m Manifest, err error) {
	if len(text) > maxManifest {
		return m, fmt.Errorf("manifest: over %d octets", maxManifest)
	}
	// The format comes first: that of a later one may have other fields.
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	if head.Format != Format {
		return m, fmt.Errorf("manifest: format %d; this version reads format %d: install a version in between first", head.Format, Format)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("manifest: %w", err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

func (m *Manifest) check() error {
	if m.Image != Image {
		return fmt.Errorf("image %.60q; accepted: %s", m.Image, Image)
	}
	if err := CheckVersion(m.Version); err != nil {
		return err
	}
	if !archForm.MatchString(m.Arch) {
		return fmt.Errorf("arch %.60q; accepted: a name as amd64", m.Arch)
	}
	if len(m.Parts) != len(names) {
		return fmt.Errorf("%d parts; accepted: %s, in this order", len(m.Parts), strings.Join(names, ", "))
	}
	for i, p := range m.Parts {
		sum, err := hex.DecodeString(p.SHA256)
		switch {
		case p.Name != names[i]:
			return fmt.Errorf("part %d is %.60q, not %s", i+1, p.Name, names[i])
		case p.Size <= 0 || p.Size > maxPart:
			return fmt.Errorf("%s: size %d; accepted: 1 to %d", p.Name, p.Size, int64(maxPart))
		case err != nil || len(sum) != 32:
			return fmt.Errorf("%s: sha256 %.80q; accepted: 64 hex digits", p.Name, p.SHA256)
		case p.Name != part.UKI && !uuidForm.MatchString(p.UUID):
			return fmt.Errorf("%s: uuid %.60q; accepted: that of the part, in small letters", p.Name, p.UUID)
		}
	}
	return nil
}
