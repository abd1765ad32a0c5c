// Package ovfenv reads ovf-env.xml, which is what Azure hands a virtual machine
// on a DVD when it is made: its name, the SSH keys of its owner and custom
// data. The password that may be in it is not looked at: the appliance has none.
package ovfenv

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/provision/medium"
	"github.com/linkseal/linkseal/images/provision/nocloud"
	"github.com/linkseal/linkseal/images/provision/sshkeys"
)

// Name is the file's at the root of the DVD.
const Name = "ovf-env.xml"

// maxDepth bounds the nesting of the document; Azure's has six levels.
const maxDepth = 32

// ErrNone says that there is nothing to provision in it.
var ErrNone = errors.New("the machine was made without custom data and without SSH keys")

type environment struct {
	XMLName xml.Name `xml:"Environment"`
	Section struct {
		Linux *linux `xml:"LinuxProvisioningConfigurationSet"`
	} `xml:"ProvisioningSection"`
}

type linux struct {
	Host   string   `xml:"HostName"`
	Custom string   `xml:"CustomData"`
	Keys   []string `xml:"SSH>PublicKeys>PublicKey>Value"`
}

// Read takes what is on the DVD. Errors show nothing of the content.
func Read(from fs.FS) (*bundle.Bundle, error) {
	text, err := medium.File(from, Name)
	if err != nil {
		return nil, err
	}
	return Parse(string(text))
}

// Parse takes what is in text.
func Parse(text string) (*bundle.Bundle, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if err := shallow(text); err != nil {
		return nil, err
	}
	var e environment
	if err := xml.Unmarshal([]byte(text), &e); err != nil {
		return nil, fmt.Errorf("%s is not an OVF environment; accepted: what Azure makes", Name)
	}
	if e.Section.Linux == nil {
		return nil, fmt.Errorf("%s has no LinuxProvisioningConfigurationSet; accepted: a machine that was made as Linux", Name)
	}
	b := &bundle.Bundle{}
	custom, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(e.Section.Linux.Custom), ""))
	if err != nil {
		return nil, fmt.Errorf("%s: CustomData is not base64; accepted: custom data as Azure encodes it", Name)
	}
	if len(custom) > 0 {
		if err := nocloud.UserData(b, "custom-data", string(custom)); err != nil {
			return nil, err
		}
	}
	return b, e.Section.Linux.rest(b)
}

// rest takes the name and the keys that custom data does not have.
func (l *linux) rest(b *bundle.Bundle) error {
	var keys []string
	for _, k := range l.Keys {
		if k = strings.Join(strings.Fields(k), " "); sshkeys.Is(k) {
			keys = append(keys, k)
		} else if k != "" {
			b.Ignore("%s: a public key that is none of SSH's", Name)
		}
	}
	if _, have := b.Get(bundle.AuthorizedKeys); !have && len(keys) > 0 {
		if err := b.Add(bundle.AuthorizedKeys, 0, []byte(strings.Join(keys, "\n")+"\n")); err != nil {
			return err
		}
	}
	if len(b.Files) == 0 {
		return ErrNone
	}
	if _, have := b.Get(bundle.Hostname); !have && hostForm.MatchString(l.Host) {
		return b.Add(bundle.Hostname, 0, []byte(l.Host+"\n"))
	}
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$`)

// shallow refuses what would exhaust the stack of the decoder.
func shallow(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	depth := 0
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s is not XML; accepted: what Azure makes", Name)
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("%s has more than %d levels; accepted: what Azure makes", Name, maxDepth)
			}
		case xml.EndElement:
			depth--
		}
	}
}
