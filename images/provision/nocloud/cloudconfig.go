package nocloud

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/sshkeys"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func cloudConfig(b *bundle.Bundle, name, text string) error {
	d := strict.Parse(name, text, true) // it may hold keys
	f := d.Root().Map("user-data", "a mapping of cloud-init's keys")
	var keys []string
	for _, key := range f.Keys() {
		v := f.Get(key)
		switch key {
		case "hostname", "fqdn", "local-hostname":
			if _, have := b.Get(bundle.Hostname); !have {
				hostname(b, d, v)
			}
		case "ssh_authorized_keys":
			keys = append(keys, sshKeys(d, v)...)
		case "users":
			keys = append(keys, users(b, d, name, v)...)
		case "write_files":
			for i, e := range v.List("a file", "a list of files, each with path and content") {
				writeFile(b, d, name, i, e)
			}
		default:
			b.Ignore("%s: %s (line %d)", name, shown(key), f.KeyPos(key).Line)
		}
	}
	if len(keys) > 0 {
		if err := b.Add(bundle.AuthorizedKeys, 0, []byte(strings.Join(keys, "\n")+"\n")); err != nil {
			d.Add(f.Of().Pos(), err.Error(), "fewer keys")
		}
	}
	return d.Problems().Err()
}

// shown is a key of a file that may hold secrets: a plain word as it is, and of
// anything else only that there is one.
func shown(key string) string {
	if len(key) > 40 || strings.ContainsFunc(key, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' && r != '-' }) {
		return "a key that is not cloud-init's"
	}
	return key
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// maxHost is what the kernel takes for a host's name.
const maxHost = 64

func hostname(b *bundle.Bundle, d *strict.Document, v strict.Value) {
	const accepted = "a host name of up to 64 letters, digits, dashes and dots"
	s, ok := v.Text(accepted)
	if !ok {
		return
	}
	if len(s) > maxHost || !hostForm.MatchString(s) {
		v.Refuse(accepted)
		return
	}
	if err := b.Add(bundle.Hostname, 0, []byte(s+"\n")); err != nil {
		v.Wrong(err.Error(), accepted)
	}
}

// users takes the SSH keys of the first user. The appliance has root alone.
func users(b *bundle.Bundle, d *strict.Document, name string, v strict.Value) (keys []string) {
	for i, u := range v.List("a user", "a list of users") {
		if i > 0 {
			b.Ignore("%s: users after the first (line %d): the appliance has root alone", name, u.Pos().Line)
			return keys
		}
		if s, ok := u.Plain(); ok && s == "default" {
			continue
		}
		f := u.Map("a user", "a mapping with ssh_authorized_keys")
		for _, key := range f.Keys() {
			switch key {
			case "ssh_authorized_keys", "ssh-authorized-keys":
				keys = append(keys, sshKeys(d, f.Get(key))...)
			case "name":
				if s, ok := f.Get(key).Plain(); !ok || s != "root" {
					b.Ignore("%s: the user's name (line %d): the keys are root's", name, f.KeyPos(key).Line)
				}
			default:
				b.Ignore("%s: users: %s (line %d)", name, shown(key), f.KeyPos(key).Line)
			}
		}
	}
	return keys
}

const keyAccepted = "a list of public keys as ssh-ed25519 AAAA... name"

func sshKeys(d *strict.Document, v strict.Value) (keys []string) {
	for _, e := range v.List("an SSH key", keyAccepted) {
		s, ok := e.Text(keyAccepted)
		if !ok {
			continue
		}
		if s = strings.TrimSpace(s); !sshkeys.Is(s) {
			e.Refuse(keyAccepted)
			continue
		}
		keys = append(keys, s)
	}
	return keys
}

func writeFile(b *bundle.Bundle, d *strict.Document, name string, i int, v strict.Value) {
	const needs = "a mapping with path and content"
	f := v.Map("a file", needs)
	path, ok := f.Need("path", "a path below /etc/linkseal").Text("a path below /etc/linkseal")
	if !ok {
		return
	}
	if path == bundle.AuthorizedKeys || path == bundle.Hostname || !strings.HasPrefix(path, bundle.Linkseal+"/") && !strings.HasPrefix(path, bundle.Network+"/") {
		b.Ignore("%s: write_files entry %d (line %d): its path is neither below %s nor in %s", name, i+1, v.Pos().Line, bundle.Linkseal, bundle.Network)
		return
	}
	for _, key := range f.Keys() {
		switch key {
		case "path", "content", "encoding", "permissions", "owner", "defer":
		case "append":
			if f.Get(key).Bool(false) {
				f.Get(key).Wrong("append", "whole files")
			}
		default:
			b.Ignore("%s: write_files: %s (line %d)", name, shown(key), f.KeyPos(key).Line)
		}
	}
	if s, ok := f.Get("owner").Plain(); ok && s != "root:root" && s != "root" {
		b.Ignore("%s: write_files: owner (line %d): all files are root's", name, f.KeyPos("owner").Line)
	}
	mode := permissions(f.Get("permissions"))
	text, ok := f.Get("content").Block()
	if !ok {
		if f.Has("content") {
			f.Get("content").Refuse("text")
		} else {
			f.Need("content", "the text of the file")
		}
		return
	}
	const encodings = "text/plain, b64, base64, gz, gzip, gz+b64, gz+base64, gzip+b64, gzip+base64"
	data := []byte(text)
	var err error
	switch e, _ := f.Get("encoding").Plain(); strings.ToLower(e) {
	case "", "text/plain", "plain":
	case "b64", "base64":
		data, err = base64Text(text)
	case "gz+b64", "gz+base64", "gzip+b64", "gzip+base64":
		if data, err = base64Text(text); err == nil {
			data, err = unzip(data)
		}
	case "gz", "gzip":
		data, err = unzip(data)
	default:
		f.Get("encoding").Refuse(encodings)
		return
	}
	if err != nil {
		f.Get("content").Wrong("content "+err.Error(), encodings+", as encoding says")
		return
	}
	if err := b.Add(path, mode, data); err != nil {
		f.Get("path").Wrong(strings.ReplaceAll(err.Error(), "; accepted: ", ": "), "files below "+bundle.Linkseal+", and in "+bundle.Network)
	}
}

// permissions are octal, quoted or not.
func permissions(v strict.Value) fs.FileMode {
	const accepted = "octal digits as '0600'"
	if !v.Given() {
		return 0
	}
	s, ok := v.Text(accepted)
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 12)
	if err != nil {
		v.Refuse(accepted)
		return 0
	}
	return max(fs.FileMode(n&0o777), 0o400)
}

func base64Text(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, s)
	out, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("is not base64")
	}
	return out, nil
}

// unzip stops at what a file may have, however little packs however much.
func unzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("is not gzip")
	}
	out, err := io.ReadAll(io.LimitReader(z, bundle.MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("is broken gzip")
	case len(out) > bundle.MaxFile:
		return nil, fmt.Errorf("unpacks to more than %d octets", bundle.MaxFile)
	}
	return out, nil
}
