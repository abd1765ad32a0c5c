package sshkeys

import (
	"strings"
	"testing"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"

func TestCheck(t *testing.T) {
	utf16 := func(s string) string {
		var b strings.Builder
		b.WriteString("\xff\xfe")
		for i := range len(s) {
			b.WriteString(s[i:i+1] + "\x00")
		}
		return b.String()
	}
	for text, want := range map[string]string{
		key: "",
		"# ours\n\n" + key + " me@there\n" + `from="10.0.0.0/8",no-pty ` + key + "\n": "",
		key + " me\r\n":                          "", // sshd takes it
		"":                                       "k:1:1: there is no public key in the file",
		"# none\n\n":                             "k:1:1: there is no public key in the file",
		key + "\nssh-dss AAAA\n" + key + "\nx\n": "k:2:1: the line is no public key of SSH's",
		utf16(key + "\n"):                        "k:1:1: the file is UTF-16",
		"\ufeff" + key:                           "k:1:1: the file begins with a byte order mark",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n": "k:1:1: the file is a private key",
		key + "\x00": "k:1:1: the line is no public key",
		key + "\xff": "k:1:1: the file is not text",
	} {
		err := Check("k", text)
		if got := ""; err != nil {
			if got = err.Error(); want == "" || !strings.HasPrefix(got, want) || strings.Contains(got, "b3Blb") {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		} else if want != "" {
			t.Errorf("%q is taken, want %q", text, want)
		}
	}
	if err := Check("k", "x\n"+key+"\ny\n"); err == nil || !strings.Contains(err.Error(), "k:3:1") {
		t.Errorf("%v: not each line is named", err)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(key)
	f.Fuzz(func(t *testing.T, text string) {
		if Check("k", text) == nil && !strings.Contains(text, " ") && !strings.Contains(text, "\t") {
			t.Errorf("%q is taken, and has no key", text)
		}
	})
}
