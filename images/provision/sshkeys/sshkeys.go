// Package sshkeys tells what sshd takes for authorized_keys: an appliance that is
// provisioned with something else lets nobody in, and takes nothing else. It is pure.
package sshkeys

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

var form = regexp.MustCompile(`^(?:[a-zA-Z0-9-]+(?:="(?:[^"\\]|\\")*")?(?:,[a-zA-Z0-9-]+(?:="(?:[^"\\]|\\")*")?)*[ \t]+)?(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)[ \t]+[A-Za-z0-9+/]{40,}={0,2}(?:[ \t].*)?$`)

// Is tells a line of authorized_keys: options, kind, key, comment.
func Is(line string) bool {
	return len(line) <= 16<<10 && form.MatchString(line) && !strings.ContainsFunc(line, func(r rune) bool { return r != '\t' && unicode.IsControl(r) })
}

const accepted = "public keys, one a line, as ssh-ed25519 AAAA... name; at least one"

// Check says what is wrong with text, the content of the file called name: a line
// that is no key, no comment and not empty, or that there is no key. The error is
// strict.Problems, and shows nothing of the content, which may be a private key.
func Check(name, text string) error {
	var wrong strict.Problems
	refuse := func(line int, what string) error {
		wrong = append(wrong, &strict.Problem{Pos: strict.Pos{File: name, Line: line, Column: 1}, What: what, Accepted: accepted})
		return wrong
	}
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return refuse(1, "the file is UTF-16, which sshd does not read; write it as UTF-8")
	case strings.HasPrefix(text, "\ufeff"):
		return refuse(1, "the file begins with a byte order mark, behind which sshd does not see the key; write it as UTF-8 without one")
	case strings.Contains(text, "PRIVATE KEY-----"):
		return refuse(1, "the file is a private key; what belongs here is its public key, NAME.pub")
	case !utf8.ValidString(text):
		return refuse(1, "the file is not text")
	}
	number, keys := 0, 0
	for line := range strings.Lines(text) {
		number++
		switch line = strings.TrimSpace(line); {
		case line == "", line[0] == '#':
		case Is(line):
			keys++
		default:
			_ = refuse(number, "the line is no public key of SSH's") // told together
		}
	}
	if keys == 0 && len(wrong) == 0 {
		return refuse(1, "there is no public key in the file, and nobody could log in")
	}
	return wrong.Err()
}
