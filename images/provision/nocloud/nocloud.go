// Package nocloud reads cloud-init's NoCloud medium, labelled CIDATA: user-data
// (#cloud-config), meta-data and network-config. Of #cloud-config it
// understands what an appliance is provisioned with:
//
//	hostname: ce-ams-1
//	ssh_authorized_keys: [ssh-ed25519 ...]      # also in users: [{...}]
//	write_files:                                # below /etc/linkseal, and in /etc/systemd/network
//	  - path: /etc/linkseal/linkseal.yaml
//	    permissions: '0600'
//	    encoding: b64                           # plain, b64, gzip, gzip+b64
//	    content: ...
//
// What else is there is ignored by name. Nothing runs commands.
package nocloud

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/netconfig"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// Read takes what is on the medium.
func Read(from fs.FS) (*bundle.Bundle, error) {
	user, err := medium.File(from, "user-data")
	if err != nil {
		return nil, fmt.Errorf("user-data: %w", plainly(err))
	}
	b := &bundle.Bundle{}
	if err := UserData(b, "user-data", string(user)); err != nil {
		return nil, err
	}
	meta, err := medium.File(from, "meta-data")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("meta-data: %w", err)
	default:
		if err := metaData(b, string(meta)); err != nil {
			return nil, err
		}
	}
	network, err := medium.File(from, "network-config")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, nil
	case err != nil:
		return nil, fmt.Errorf("network-config: %w", err)
	}
	return b, netconfig.Read(b, "network-config", string(network))
}

// plainly is an error of a file system without the path, which the caller has.
func plainly(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is none on the medium; accepted: a file that begins with #cloud-config")
	}
	return err
}

// UserData takes what user-data has: a #cloud-config, or a linkseal.yaml by
// itself. The error is strict.Problems, in which no octet of it is shown.
func UserData(b *bundle.Bundle, name, text string) error {
	text = strings.TrimPrefix(text, "\ufeff")
	first, _, _ := strings.Cut(text, "\n")
	switch first = strings.TrimRight(first, " \t\r"); {
	case strings.TrimSpace(text) == "":
		b.Ignore("%s is empty", name)
		return nil
	case first == "#cloud-config":
		return cloudConfig(b, name, text)
	case strings.HasPrefix(first, "#!"), strings.HasPrefix(first, "#include"), strings.HasPrefix(first, "#cloud-"), strings.HasPrefix(first, "## template"),
		strings.HasPrefix(first, "#part-handler"), strings.HasPrefix(first, "MIME-Version:"), strings.HasPrefix(first, "Content-Type:"):
		return wrong(name, "a script, an archive or another form of cloud-init's, which an appliance does not run")
	case strings.HasPrefix(text, "\x1f\x8b"):
		return wrong(name, "compressed")
	}
	return b.Add(bundle.Config, 0, []byte(text))
}

func wrong(name, what string) error {
	return strict.Problems{{Pos: strict.Pos{File: name, Line: 1, Column: 1}, What: "the file is " + what, Accepted: "#cloud-config in its first line, or a linkseal.yaml"}}
}

// metaData takes the name of the host, if user-data has none. The instance-id
// tells nothing that the content does not.
func metaData(b *bundle.Bundle, text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := strict.Parse("meta-data", text, false)
	f := d.Root().Map("meta-data", "a mapping with instance-id")
	for _, key := range f.Keys() {
		switch key {
		case "instance-id", "instance_id", "dsmode":
		case "local-hostname", "local_hostname", "hostname":
			if _, have := b.Get(bundle.Hostname); !have {
				hostname(b, d, f.Get(key))
			}
		default:
			b.Ignore("meta-data: %s", key)
		}
	}
	return d.Problems().Err()
}
