// Package sbom says what an appliance image is made of: an SPDX 2.3 document of its
// Debian packages, with their sources and licences where these are known, and of
// the Go modules in linkseal.
package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Document is an SPDX 2.3 document, as far as this package fills it.
type Document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      Creation       `json:"creationInfo"`
	Packages      []Package      `json:"packages"`
	Relationships []Relationship `json:"relationships"`
}

// Creation says when and by what a document was made.
type Creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

// Package is one thing that the image has in it.
type Package struct {
	Name       string      `json:"name"`
	ID         string      `json:"SPDXID"`
	Version    string      `json:"versionInfo"`
	Supplier   string      `json:"supplier"`
	Download   string      `json:"downloadLocation"`
	Analyzed   bool        `json:"filesAnalyzed"`
	Homepage   string      `json:"homepage,omitempty"`
	SourceInfo string      `json:"sourceInfo,omitempty"`
	Concluded  string      `json:"licenseConcluded"`
	Declared   string      `json:"licenseDeclared"`
	Copyright  string      `json:"copyrightText"`
	Purpose    string      `json:"primaryPackagePurpose,omitempty"`
	Refs       []Reference `json:"externalRefs,omitempty"`
}

// Reference is a package's name elsewhere: a purl.
type Reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

// Relationship is one of two elements.
type Relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// Image is what a document tells of.
type Image struct {
	Version string
	Made    time.Time
	Debs    []Deb
	// Licence is what the package with that name declares, an SPDX expression;
	// empty if that is not known.
	Licence func(deb string) string
	// ModuleLicence is the same of a Go module.
	ModuleLicence func(path, version string) string
	Binary        *debug.BuildInfo // of linkseal
}

const unknown = "NOASSERTION"

// Build makes the document. The same image has the same one.
func Build(i Image) (*Document, error) {
	if len(i.Debs) == 0 || i.Binary == nil || len(i.Binary.Deps) == 0 {
		return nil, fmt.Errorf("%d Debian packages and the build information %v: neither may be empty", len(i.Debs), i.Binary)
	}
	name := "linkseal-" + i.Version
	d := &Document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name,
		Creation: Creation{i.Made.UTC().Format("2006-01-02T15:04:05Z"), []string{"Tool: linkseal-images-sbom"}},
	}
	image := d.add("DOCUMENT", "DESCRIBES", Package{
		Name: "linkseal-image", ID: "SPDXRef-image", Version: i.Version, Declared: unknown, Purpose: "OPERATING-SYSTEM",
		SourceInfo: "Debian 12 with linkseal",
	})
	linkseal := ""
	for _, deb := range i.Debs {
		p := Package{
			Name: deb.Name, ID: id("deb", deb.Name), Version: deb.Version, Supplier: "Organization: Debian", Homepage: homepage(deb.Homepage), Declared: i.Licence(deb.Name),
			SourceInfo: "built package from: " + deb.Source + " " + deb.SourceVersion,
			Refs: []Reference{{"PACKAGE-MANAGER", "purl",
				"pkg:deb/debian/" + url.QueryEscape(deb.Name) + "@" + url.QueryEscape(deb.Version) + "?arch=" + deb.Arch + "&distro=debian-12"}},
		}
		if deb.Name == "linkseal" {
			p.Supplier, p.Declared, p.Refs = "", "Apache-2.0", nil
			linkseal = p.ID
		}
		d.add(image, "CONTAINS", p)
	}
	if linkseal == "" {
		return nil, fmt.Errorf("among %d Debian packages there is no linkseal", len(i.Debs))
	}
	d.add(linkseal, "CONTAINS", golang("std", i.Binary.GoVersion, "BSD-3-Clause"))
	for _, m := range i.Binary.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		d.add(linkseal, "CONTAINS", golang(m.Path, m.Version, i.ModuleLicence(m.Path, m.Version)))
	}
	ids := map[string]bool{}
	for _, p := range d.Packages {
		if ids[p.ID] {
			return nil, fmt.Errorf("two packages have the identifier %s", p.ID)
		}
		ids[p.ID] = true
	}
	d.Namespace = d.namespace()
	return d, nil
}

func (d *Document) add(owner, relation string, p Package) string {
	owner = "SPDXRef-" + strings.TrimPrefix(owner, "SPDXRef-")
	for _, s := range []*string{&p.Supplier, &p.Download, &p.Concluded, &p.Declared, &p.Copyright} {
		if *s == "" {
			*s = unknown
		}
	}
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, Relationship{owner, relation, p.ID})
	return p.ID
}

func golang(path, version, licence string) Package {
	return Package{
		Name: path, ID: id("go", path), Version: version, Declared: licence,
		Refs: []Reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + url.QueryEscape(version)}},
	}
}

var foreign = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// id has letters, numbers, dots and dashes alone. Two names that differ in others
// have a hash to tell them apart.
func id(kind, name string) string {
	clean := foreign.ReplaceAllString(name, "-")
	if clean != name {
		sum := sha256.Sum256([]byte(name))
		clean += "-" + hex.EncodeToString(sum[:4])
	}
	return "SPDXRef-" + kind + "-" + clean
}

// homepage is one if it is a web page's address.
func homepage(s string) string {
	if u, err := url.Parse(s); err != nil || u.Host == "" || !slices.Contains([]string{"http", "https"}, u.Scheme) {
		return ""
	}
	return s
}

// namespace is unique to what the document says.
func (d *Document) namespace() string {
	h := sha256.New()
	for _, p := range d.Packages {
		fmt.Fprintf(h, "%s %s %s\n", p.ID, p.Version, p.Declared)
	}
	return "https://github.com/linkseal/linkseal/spdx/" + d.Name + "-" + hex.EncodeToString(h.Sum(nil)[:16])
}
