package slot

import (
	"regexp"
	"strconv"

	"github.com/linkseal/linkseal/images/bundle"
)

// Tries is how often an update is booted before systemd-boot goes back to the
// version before it.
const Tries = 3

// Entry is a UKI on the EFI system partition, by its name: linkseal_VERSION.efi, or
// while it is on trial linkseal_VERSION+LEFT-DONE.efi. systemd-boot counts a boot by
// renaming it; systemd-bless-boot takes the count away.
type Entry struct {
	Name    string
	Version string
	Trial   bool // it has a count
	Left    int  // boots that are left of it
}

var entryForm = regexp.MustCompile(`^linkseal_([0-9.]+)(\+([0-9]{1,3})(-[0-9]{1,3})?)?\.efi$`)

// ParseEntry takes a file's name apart; false if it is no UKI of linkseal's.
func ParseEntry(name string) (Entry, bool) {
	m := entryForm.FindStringSubmatch(name)
	if m == nil || bundle.CheckVersion(m[1]) != nil {
		return Entry{}, false
	}
	e := Entry{Name: name, Version: m[1], Trial: m[2] != ""}
	e.Left, _ = strconv.Atoi(m[3]) // three digits, or none
	return e, true
}

// Temporary is the name of a version's UKI while it is written: systemd-boot boots
// only what ends in .efi.
func Temporary(version string) string { return "linkseal_" + version + ".new" }

// OnTrial is its name when it is installed.
func OnTrial(version string) string {
	return "linkseal_" + version + "+" + strconv.Itoa(Tries) + ".efi"
}

// Retired is its name while it is removed.
func Retired(version string) string { return "linkseal_" + version + ".old" }

var leftoverForm = regexp.MustCompile(`^linkseal_[0-9.]+\.(new|old)$`)

// leftover reports whether an install that did not end may have left the file.
func leftover(name string) bool { return leftoverForm.MatchString(name) }
