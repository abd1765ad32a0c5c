package main

import "runtime/debug"

// buildVersion is set by the Makefile with -ldflags -X.
var buildVersion string

// version is the release that this binary was built from, or the VCS
// revision that Go recorded, or "devel".
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return "devel-" + s.Value[:12]
			}
		}
	}
	return "devel"
}
