package sbom

import (
	"encoding/json"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

const status = `Package: frr
Status: install ok installed
Architecture: amd64
Version: 8.4.4-1.1~deb12u1
Depends: libc6 (>= 2.34),
 libcap2
Description: a suite
 Homepage: https://not.a.field/
Homepage: https://www.frrouting.org/

Package: linux-image-6.1.0-56-amd64
Status: install ok installed
Architecture: amd64
Source: linux-signed-amd64 (6.1.192+2)
Version: 6.1.192-2

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: linkseal
Status: install ok installed
Architecture: amd64
Version: 0~git1
Homepage: javascript:alert(1)
`

func debs(t *testing.T) []Deb {
	t.Helper()
	debs, err := ReadStatus(strings.NewReader(status))
	if err != nil {
		t.Fatal(err)
	}
	return debs
}

func TestStatus(t *testing.T) {
	want := []Deb{
		{"frr", "8.4.4-1.1~deb12u1", "amd64", "frr", "8.4.4-1.1~deb12u1", "https://www.frrouting.org/"},
		{"linux-image-6.1.0-56-amd64", "6.1.192-2", "amd64", "linux-signed-amd64", "6.1.192+2", ""},
		{"linkseal", "0~git1", "amd64", "linkseal", "0~git1", "javascript:alert(1)"},
	}
	if got := debs(t); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	for _, bad := range []string{"Package: a\nStatus: install ok installed\nVersion: 1\n", "Status: install ok installed\n", "Package: a\nVersion: 1\n\nPackage: b\n"} {
		if got, err := ReadStatus(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestDeclared(t *testing.T) {
	for text, want := range map[string]string{
		"Format: x\n\nFiles: *\nCopyright: a\nLicense: GPL-2+\n text\n\nFiles: a\nLicense: MIT\n": "GPL-2.0-or-later",
		"Format: x\n\nFiles: debian/*\nLicense: MIT\n\nFiles: *\nLicense:  Expat\n":               "MIT",
		"Format: x\n\nFiles: *\nLicense: LGPL-3+ or GPL-2+\n":                                     "LGPL-3.0-or-later OR GPL-2.0-or-later",
		"Format: x\n\nFiles: *\nLicense: Sleepycat and bsd-3-clause\n":                            "Sleepycat AND BSD-3-Clause",
		// What is not known to be one of SPDX's is not said to be.
		"Format: x\n\nFiles: *\nLicense: GPL-2+ or AFL-2.1, and Expat\n":   "",
		"Format: x\n\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n":  "",
		"Format: x\n\nFiles: *\nLicense: BSD-3-clause and public-domain\n": "",
		"Format: x\n\nFiles: a\nLicense: MIT\n":                            "",
		"Format: x\n\nFiles: *\nCopyright: a\n":                            "",
		"This is a package.\n\nFiles: *\nLicense: MIT\n":                   "",
		"": "",
	} {
		if got := Declared(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func image(t *testing.T) Image {
	return Image{
		Version: "20261126.1", Made: time.Unix(1795714282, 0), Debs: debs(t),
		Licence: func(deb string) string { return map[string]string{"frr": "GPL-2.0-or-later"}[deb] },
		ModuleLicence: func(path, version string) string {
			return map[string]string{"golang.org/x/sys v0.1.0": "BSD-3-Clause"}[path+" "+version]
		},
		Binary: &debug.BuildInfo{GoVersion: "go1.26.0", Deps: []*debug.Module{
			{Path: "golang.org/x/sys", Version: "v0.1.0"},
			{Path: "a/b", Version: "v1.0.0", Replace: &debug.Module{Path: "c/b", Version: "v1.2.3+incompatible"}},
		}},
	}
}

func TestDocument(t *testing.T) {
	d, err := Build(image(t))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Build(image(t))
	a, _ := json.Marshal(d)
	if b, _ := json.Marshal(again); string(a) != string(b) {
		t.Error("two of one image differ")
	}
	// The rules of SPDX 2.3 for what is filled.
	form := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	known := map[string]Package{}
	for _, p := range d.Packages {
		if !form.MatchString(p.ID) || p.Name == "" || p.Version == "" || p.Download == "" || p.Declared == "" || p.Concluded == "" || p.Supplier == "" {
			t.Errorf("%+v", p)
		}
		known[p.Name] = p
	}
	held := map[string]string{}
	for _, r := range d.Relationships {
		held[r.Related] = r.Element
	}
	for name, want := range map[string][3]string{ // version, declared, in what
		"linkseal-image":             {"20261126.1", unknown, "SPDXRef-DOCUMENT"},
		"frr":                        {"8.4.4-1.1~deb12u1", "GPL-2.0-or-later", "SPDXRef-image"},
		"linux-image-6.1.0-56-amd64": {"6.1.192-2", unknown, "SPDXRef-image"},
		"linkseal":                   {"0~git1", "Apache-2.0", "SPDXRef-image"},
		"std":                        {"go1.26.0", "BSD-3-Clause", known["linkseal"].ID},
		"golang.org/x/sys":           {"v0.1.0", "BSD-3-Clause", known["linkseal"].ID},
		"c/b":                        {"v1.2.3+incompatible", unknown, known["linkseal"].ID},
	} {
		p, ok := known[name]
		if got := [3]string{p.Version, p.Declared, held[p.ID]}; !ok || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(d.Packages) != 7 || len(d.Relationships) != 7 {
		t.Errorf("%d packages, %d relationships, want 7", len(d.Packages), len(d.Relationships))
	}
	if got := known["frr"]; got.Refs[0].Locator != "pkg:deb/debian/frr@8.4.4-1.1~deb12u1?arch=amd64&distro=debian-12" || got.Homepage != "https://www.frrouting.org/" {
		t.Errorf("frr: %+v", got)
	}
	if got := known["linux-image-6.1.0-56-amd64"].SourceInfo; got != "built package from: linux-signed-amd64 6.1.192+2" {
		t.Error(got)
	}
	if got := known["linkseal"].Homepage; got != "" {
		t.Errorf("homepage %q", got)
	}
	if id("go", "a/b") == id("go", "a-b") {
		t.Error("a/b and a-b have one identifier")
	}
}

func TestHoles(t *testing.T) {
	for name, spoil := range map[string]func(*Image){
		"no packages":     func(i *Image) { i.Debs = nil },
		"no modules":      func(i *Image) { i.Binary.Deps = nil },
		"no binary":       func(i *Image) { i.Binary = nil },
		"no linkseal":     func(i *Image) { i.Debs = i.Debs[:2] },
		"a package twice": func(i *Image) { i.Debs = append(i.Debs, i.Debs[0]) },
	} {
		i := image(t)
		spoil(&i)
		if d, err := Build(i); err == nil {
			t.Errorf("%s: %d packages", name, len(d.Packages))
		}
	}
}

func TestRecognized(t *testing.T) {
	const (
		bsd2 = "Redistribution and use in source and binary forms, with or without\nmodification, are permitted:\n1. Redistributions of source code must retain the\n2. Redistributions in binary form must reproduce\n"
		bsd3 = bsd2 + "the names of contributors may be used to endorse or promote products"
		mit  = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software. The above copyright notice and this permission notice shall be\nincluded"
	)
	for text, want := range map[string]string{
		bsd2: "BSD-2-Clause", bsd3: "BSD-3-Clause", mit: "MIT",
		"Apache License\n   Version 2.0, January 2004": "Apache-2.0",
		"Mozilla Public License Version 2.0":           "MPL-2.0",
		// Several, another, none.
		mit + bsd3:                         "",
		bsd3 + "all advertising materials": "",
		"All rights reserved.":             "",
		"":                                 "",
	} {
		if got := Recognized(text); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}
