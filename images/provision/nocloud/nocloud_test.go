package nocloud

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/linkseal/linkseal/images/provision/bundle"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOnFzVHnx1hPmkeIbnnQ0xIkVYvXTl7dUSYcMhV3xW2T admin@noc"

func zipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(t testing.TB, user string) (*bundle.Bundle, error) {
	t.Helper()
	return Read(fstest.MapFS{"user-data": {Data: []byte(user)}, "meta-data": {Data: []byte("instance-id: i-1\nlocal-hostname: from-meta\n")}})
}

func want(t *testing.T, b *bundle.Bundle, path, text string) {
	t.Helper()
	if got, ok := b.Get(path); !ok || string(got) != text {
		t.Errorf("%s: %q, %t; want %q", path, got, ok, text)
	}
}

func TestUserData(t *testing.T) {
	const config = "version: 1\nports:\n  - name: link1\n    device: eth1\n"
	b, err := read(t, `#cloud-config
hostname: ce-ams-1
ssh_authorized_keys:
  - `+sshKey+`
users:
  - name: root
    shell: /bin/sh
    ssh_authorized_keys:
      - `+sshKey+` second
write_files:
  - path: /etc/linkseal/linkseal.yaml
    permissions: '0644'
    owner: root:root
    content: |
      version: 1
      ports:
        - name: link1
          device: eth1
  - path: /etc/linkseal/keys/link1.yaml
    permissions: 0400
    encoding: b64
    content: `+base64.StdEncoding.EncodeToString([]byte("keys: 1\n"))+`
  - path: /etc/systemd/network/20-lan.network
    encoding: gzip+b64
    content: >-
      `+base64.StdEncoding.EncodeToString(zipped(t, "[Match]\n"))+`
  - {path: /etc/frr/frr.conf, content: x}
  - {path: /etc/linkseal/empty, content: ""}
package_update: true
runcmd:
  - [rm, -rf, /]
`)
	if err != nil {
		t.Fatal(err)
	}
	want(t, b, "/etc/linkseal/linkseal.yaml", config)
	want(t, b, "/etc/linkseal/keys/link1.yaml", "keys: 1\n")
	want(t, b, "/etc/linkseal/empty", "")
	want(t, b, "/etc/systemd/network/20-lan.network", "[Match]\n")
	want(t, b, bundle.AuthorizedKeys, sshKey+"\n"+sshKey+" second\n")
	want(t, b, bundle.Hostname, "ce-ams-1\n")
	modes := map[string]string{"/etc/linkseal/linkseal.yaml": "-rw-------", "/etc/linkseal/keys/link1.yaml": "-r--------", "/etc/systemd/network/20-lan.network": "-rw-r--r--"}
	for _, f := range b.Files {
		if m := modes[f.Path]; m != "" && f.Mode.String() != m {
			t.Errorf("%s: mode %s, want %s", f.Path, f.Mode, m)
		}
	}
	all := strings.Join(b.Ignored, "\n")
	for _, s := range []string{"write_files entry 4 (line 27)", "package_update (line 29)", "runcmd (line 30)", "users: shell (line 7)"} {
		if !strings.Contains(all, s) {
			t.Errorf("%q is not told as ignored:\n%s", s, all)
		}
	}
}

func TestUserDataRefused(t *testing.T) {
	file := func(rest string) string { return "#cloud-config\nwrite_files:\n  - " + rest + "\n" }
	const secret = "00112233445566778899aabbccddeeff"
	bomb := base64.StdEncoding.EncodeToString(zipped(t, strings.Repeat("\x00", 64<<20)))
	for name, c := range map[string]struct{ text, want string }{
		"script":      {"#!/bin/sh\nrm -rf /\n", "user-data:1:1: the file is a script"},
		"archive":     {"MIME-Version: 1.0\n", "user-data:1:1"},
		"compressed":  {string(zipped(t, "#cloud-config\n")), "user-data:1:1: the file is compressed"},
		"not yaml":    {"#cloud-config\nwrite_files: [\n" + secret, "user-data:"},
		"alias":       {"#cloud-config\nhostname: &a x\nfqdn: *a\n", "user-data:2:11: hostname is a YAML anchor or alias"},
		"alias bomb":  {"#cloud-config\na: &a [x,x]\nb: &b [*a,*a]\nwrite_files: *b\n", "write_files is a YAML anchor or alias"},
		"up":          {file("{path: /etc/linkseal/../shadow, content: x}"), "user-data:3:12: path \"/etc/linkseal/../shadow\" is not plain"},
		"hidden":      {file("{path: /etc/linkseal/.x, content: x}"), "file name \".x\""},
		"drop-in":     {file("{path: /etc/systemd/network/x.conf, content: x}"), "names that end in .network"},
		"deeper":      {file("{path: /etc/systemd/network/a/x.network, content: x}"), "outside of what provisioning writes"},
		"no content":  {file("{path: /etc/linkseal/x}"), "a file has no content"},
		"list":        {file("{path: /etc/linkseal/x, content: [1]}"), "content is a list"},
		"not base64":  {file("{path: /etc/linkseal/x, encoding: b64, content: '" + secret + "!'}"), "content is not base64"},
		"not gzip":    {file("{path: /etc/linkseal/x, encoding: gz+b64, content: eHg=}"), "content is not gzip"},
		"bomb":        {file("{path: /etc/linkseal/x, encoding: gz+b64, content: " + bomb + "}"), "content unpacks to more than 1048576 octets"},
		"encoding":    {file("{path: /etc/linkseal/x, encoding: rot13, content: x}"), "encoding is malformed"},
		"append":      {file("{path: /etc/linkseal/x, append: true, content: x}"), "append; accepted: whole files"},
		"twice":       {file("{path: /etc/linkseal/x, content: x}\n  - {path: /etc/linkseal/x, content: y}"), "user-data:4:12: /etc/linkseal/x is given twice"},
		"file in dir": {file("{path: /etc/linkseal/x, content: x}\n  - {path: /etc/linkseal/x/y, content: y}"), "a file and a directory"},
		"permissions": {file("{path: /etc/linkseal/x, permissions: rw, content: x}"), "permissions is malformed; accepted: octal"},
		"ssh key":     {"#cloud-config\nssh_authorized_keys:\n  - \"ssh-ed25519 AAAA\\nssh-rsa x\"\n", "user-data:3:5: an SSH key is malformed"},
		"hostname":    {"#cloud-config\nhostname: a b\n", "user-data:2:11: hostname is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := read(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v has the key in it", err)
			}
			if b != nil {
				t.Error("there is a bundle too")
			}
		})
	}
}

func TestBare(t *testing.T) {
	b, err := read(t, "version: 1\nname: x\n")
	if err != nil {
		t.Fatal(err)
	}
	want(t, b, bundle.Config, "version: 1\nname: x\n")
	want(t, b, bundle.Hostname, "from-meta\n")
}

// Whatever it is given, it ends, refuses or stays in bounds, and shows no key.
func FuzzUserData(f *testing.F) {
	f.Add("#cloud-config\nwrite_files:\n  - path: /etc/linkseal/linkseal.yaml\n    content: |\n      a\n")
	f.Add("#cloud-config\nusers: [default, {ssh_authorized_keys: [x]}]\nhostname: x\n")
	f.Add("#cloud-config\nwrite_files: [{path: /etc/systemd/network/a.network, encoding: gz+b64, content: H4sI}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Read(fstest.MapFS{"user-data": {Data: []byte(text)}, "network-config": {Data: []byte(text)}})
		if err != nil {
			return
		}
		total := 0
		for _, file := range b.Files {
			total += len(file.Data)
			if file.Mode&0o133 != 0 || !strings.HasPrefix(file.Path, "/etc/linkseal/") && !strings.HasPrefix(file.Path, "/etc/systemd/network/") && file.Path != bundle.AuthorizedKeys && file.Path != bundle.Hostname || strings.Contains(file.Path, "..") {
				t.Errorf("%s with mode %s", file.Path, file.Mode)
			}
		}
		if total > bundle.MaxTotal || len(b.Ignored) > 100 {
			t.Errorf("%d octets, %d ignored", total, len(b.Ignored))
		}
	})
}
