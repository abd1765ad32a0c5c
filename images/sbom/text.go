package sbom

import "strings"

// known are sentences that a licence's text has, all of them, and no other's among
// these has; what stands in the second list, it has not.
var known = []struct {
	id        string
	has, hasn []string
}{
	{"Apache-2.0", []string{"apache license", "version 2.0, january 2004"}, nil},
	{"MPL-2.0", []string{"mozilla public license", "version 2.0"}, nil},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy of this software", "the above copyright notice and this permission notice shall be included"}, nil},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies"}, nil},
	{"BSD-3-Clause", append([]string{"may be used to endorse or promote products"}, bsd...), []string{"all advertising materials"}},
	{"BSD-2-Clause", bsd, []string{"endorse or promote", "all advertising materials"}},
}

var bsd = []string{"redistribution and use in source and binary forms, with or without modification, are permitted", "redistributions of source code must retain", "redistributions in binary form must reproduce"}

// Recognized is the SPDX identifier of a licence's text; empty if it is none of
// the known, or of several.
func Recognized(text string) string {
	text = strings.ToLower(space.ReplaceAllString(text, " "))
	id := ""
	for _, k := range known {
		fits := true
		for _, s := range k.has {
			fits = fits && strings.Contains(text, s)
		}
		for _, s := range k.hasn {
			fits = fits && !strings.Contains(text, s)
		}
		if fits && id != "" {
			return ""
		}
		if fits {
			id = k.id
		}
	}
	return id
}
