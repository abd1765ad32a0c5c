package sbom

import (
	"regexp"
	"strings"
)

// spdx are the names of licences in Debian's copyright files, in small letters,
// that stand for one of SPDX's and for no other. Names that are a family's, as BSD
// or public-domain, are not among them.
var spdx = map[string]string{
	"afl-2.1": "AFL-2.1", "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl",
	"artistic-2.0": "Artistic-2.0", "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
	"bsd-4-clause-uc": "BSD-4-Clause-UC", "cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0", "curl": "curl", "expat": "MIT", "mit": "MIT",
	"gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-2.0": "GPL-2.0-only", "gpl-2.0+": "GPL-2.0-or-later",
	"gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "gpl-3.0": "GPL-3.0-only", "gpl-3.0+": "GPL-3.0-or-later", "gplv3+": "GPL-3.0-or-later",
	"gplv2+": "GPL-2.0-or-later", "lgplv2.1+": "LGPL-2.1-or-later", "lgplv3+": "LGPL-3.0-or-later",
	"isc": "ISC", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later", "lgpl-2.0+": "LGPL-2.0-or-later", "lgpl-2.1": "LGPL-2.1-only",
	"lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later", "lgpl-3.0+": "LGPL-3.0-or-later",
	"mpl-2.0": "MPL-2.0", "openldap-2.8": "OLDAP-2.8", "openssl": "OpenSSL", "sleepycat": "Sleepycat", "x11": "X11", "zlib": "Zlib",
}

var (
	joint = regexp.MustCompile(`(?i)(?:,?\s+(and|or)\s+)`)
	space = regexp.MustCompile(`\s+`)
)

// Declared is the SPDX expression of what a copyright file of Debian's format 1.0
// says of "Files: *"; empty if it is of no such form or has a name that is not known
// to be one of SPDX's.
func Declared(copyright string) string {
	if !strings.HasPrefix(copyright, "Format:") {
		return ""
	}
	for _, stanza := range strings.Split(strings.ReplaceAll(copyright, "\r", ""), "\n\n") {
		files, licence := "", ""
		for _, line := range strings.Split(stanza, "\n") {
			if key, value, ok := strings.Cut(line, ":"); ok && line[0] != ' ' {
				switch key {
				case "Files":
					files = strings.TrimSpace(value)
				case "License":
					licence = strings.TrimSpace(value)
				}
			}
		}
		if files == "*" {
			return expression(licence)
		}
	}
	return ""
}

// expression binds as Debian's format says: "and" before "or", and a comma before
// either turns that around; with a comma it is left to people.
func expression(licence string) string {
	if licence == "" || strings.Contains(licence, ",") {
		return ""
	}
	words := joint.FindAllStringSubmatch(licence, -1)
	out := ""
	for i, name := range joint.Split(licence, -1) {
		id := spdx[strings.ToLower(space.ReplaceAllString(name, " "))]
		if id == "" {
			return ""
		}
		if i > 0 {
			out += " " + strings.ToUpper(words[i-1][1]) + " "
		}
		out += id
	}
	return out
}
