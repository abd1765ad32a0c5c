package probe

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Version is a kernel version: major, minor, patch.
type Version [3]int

// String is "5.7" or "2.6.29": a patch level of 0 is left out.
func (v Version) String() string {
	if v[2] == 0 {
		return fmt.Sprintf("%d.%d", v[0], v[1])
	}
	return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
}

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// Kernel is the version of the running kernel, from uname(2).
func Kernel() (Version, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Version{}, fmt.Errorf("uname: %w", err)
	}
	return parseVersion(unix.ByteSliceToString(u.Release[:]))
}

// parseVersion reads a release as uname gives it: "6.1.0-56-amd64",
// "6.18-rc1", "5.15.0+".
func parseVersion(release string) (Version, error) {
	var v Version
	rest := release
	for i := range v {
		n, digits := 0, 0
		for digits < len(rest) && digits < 6 && rest[digits] >= '0' && rest[digits] <= '9' {
			n = n*10 + int(rest[digits]-'0')
			digits++
		}
		if digits == 0 {
			return Version{}, fmt.Errorf("kernel release %q: want major.minor[.patch]", release)
		}
		v[i] = n
		after, dot := strings.CutPrefix(rest[digits:], ".")
		if !dot {
			if i == 0 {
				return Version{}, fmt.Errorf("kernel release %q: want major.minor[.patch]", release)
			}
			break
		}
		rest = after
	}
	return v, nil
}
