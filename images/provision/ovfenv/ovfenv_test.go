package ovfenv

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/linkseal/linkseal/images/provision/bundle"
)

const (
	sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOnFzVHnx1hPmkeIbnnQ0xIkVYvXTl7dUSYcMhV3xW2T admin@noc"
	secret = "correct horse battery"
)

// document is an ovf-env.xml as Azure makes one.
func document(custom, keys string) string {
	if custom != "" {
		custom = "<CustomData>" + custom + "</CustomData>"
	}
	return `<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <wa:ProvisioningSection>
    <wa:Version>1.0</wa:Version>
    <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
      <HostName>ce-ams-1</HostName>
      <UserName>azureuser</UserName>
      <UserPassword>` + secret + `</UserPassword>
      <DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
      ` + custom + `
      <SSH><PublicKeys><PublicKey><Fingerprint>00</Fingerprint><Path>/home/azureuser/.ssh/authorized_keys</Path><Value>` + keys + `</Value></PublicKey></PublicKeys></SSH>
    </LinuxProvisioningConfigurationSet>
  </wa:ProvisioningSection>
  <wa:PlatformSettingsSection>
    <wa:Version>1.0</wa:Version>
    <PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure"><KmsServerHostname>kms.core.windows.net</KmsServerHostname><ProvisionGuestAgent>false</ProvisionGuestAgent></PlatformSettings>
  </wa:PlatformSettingsSection>
</Environment>`
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[string]string
	}{
		"cloud-config": {document(b64("#cloud-config\nhostname: own\nwrite_files:\n  - {path: /etc/linkseal/linkseal.yaml, content: x}\n"), sshKey+"\r\n"),
			map[string]string{bundle.Config: "x", bundle.Hostname: "own\n", bundle.AuthorizedKeys: sshKey + "\n"}},
		"bare, broken into lines": {document(b64("version: 1\n")[:8]+"\n    "+b64("version: 1\n")[8:], ""),
			map[string]string{bundle.Config: "version: 1\n", bundle.Hostname: "ce-ams-1\n"}},
		"keys alone": {document("", sshKey), map[string]string{bundle.Hostname: "ce-ams-1\n", bundle.AuthorizedKeys: sshKey + "\n"}},
	} {
		b, err := Read(fstest.MapFS{Name: {Data: []byte("\ufeff" + c.text)}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(b.Files) != len(c.want) {
			t.Errorf("%s: %d files, want %d", name, len(b.Files), len(c.want))
		}
		for path, want := range c.want {
			if got, _ := b.Get(path); string(got) != want {
				t.Errorf("%s: %s: %q, want %q", name, path, got, want)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		document("", ""):                     ErrNone.Error(),
		document("!", sshKey):                "CustomData is not base64",
		document(b64("#!/bin/sh\n"), sshKey): "custom-data:1:1: the file is a script",
		"":                                   "is not an OVF environment",
		"<html/>":                            "is not an OVF environment",
		"<Environment/>":                     "has no LinuxProvisioningConfigurationSet",
		strings.Repeat("<a>", 100):           "more than 32 levels",
		"<Environment>":                      "is not an OVF environment",
		`<!DOCTYPE x [<!ENTITY a "aaaa">]><Environment>&a;</Environment>`: "is not",
	} {
		b, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || b != nil && len(b.Files) > 0 && !errors.Is(err, ErrNone) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%v has the password in it", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document(b64("#cloud-config\n"), sshKey))
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Parse(text)
		if err == nil && len(b.Files) == 0 {
			t.Error("nothing, and no error")
		}
	})
}
