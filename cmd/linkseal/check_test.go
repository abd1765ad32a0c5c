package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
)

const checkConfig = `version: 1
keychains:
  link1: {source: file, path: link1.yaml}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`

// anEthernet is a machine with one device, eth1.
type anEthernet struct {
	mtu int
	can plan.Capabilities
}

func (m anEthernet) Capabilities() plan.Capabilities { return m.can }

func (m anEthernet) Device(name string) (config.Device, bool, error) {
	return config.Device{MTU: m.mtu, Ethernet: true}, name == "eth1", nil
}

func (anEthernet) Group(name string) (uint32, bool, error) { return 990, name == "netops", nil }

// checkIn runs check over text and keys on a machine whose eth1 has mtu.
func checkIn(t *testing.T, keys string, mtu int, args ...string) (dir, out, errOut string, err error) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"l.yaml": checkConfig, "link1.yaml": keys} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := checkOn(anEthernet{mtu: mtu})
	var stdout, stderr bytes.Buffer
	c.SetOut(&stdout)
	c.SetErr(&stderr)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(append([]string{"--config", filepath.Join(dir, "l.yaml")}, args...))
	err = c.Execute()
	return dir, stdout.String(), stderr.String(), err
}

const goodKeys = "keys:\n  - {ckn: 01, cak: 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff}\n  - {ckn: 02, cak: 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff}\n"

func TestCheckOK(t *testing.T) {
	dir, out, errOut, err := checkIn(t, goodKeys, 1532)
	if want := filepath.Join(dir, "l.yaml") + ": ok, 1 port, 1 keychain, 2 keys\n"; err != nil || out != want || errOut != "" {
		t.Errorf("%q, %q, %v, want %q", out, errOut, err, want)
	}
	_, out, _, err = checkIn(t, goodKeys, 1532, "--json")
	var doc map[string]any
	if err != nil || json.Unmarshal([]byte(out), &doc) != nil || doc["ok"] != true || doc["keys"] != 2.0 || len(doc["errors"].([]any)) != 0 {
		t.Errorf("%s, %v", out, err)
	}
	_, out, _, err = checkIn(t, goodKeys, 1532, "--print")
	if c, again := config.Parse("l.yaml", out); err != nil || again != nil || len(c.Ports) != 1 {
		t.Errorf("%s, %v, %v", out, err, again)
	}
}

// What the machine cannot have is named where it is asked for; --json tells
// what run would take.
func TestCheckDataplane(t *testing.T) {
	dir := t.TempDir()
	const text = `version: 1
keychains:
  link1: {source: file, path: link1.yaml}
ports:
  - name: link1
    device: eth1
    interface: macsec1
    keychain: link1
`
	neither := plan.Capabilities{NoMACsec: "x", NoTap: "y"}
	for _, c := range []struct {
		line string
		can  plan.Capabilities
		took string
		want string // of the error, "" for none
	}{
		{"", plan.Capabilities{}, "kernel", ""},
		{"", plan.Capabilities{NoMACsec: "x"}, "userspace", ""},
		{"", neither, "userspace", ":5:11: port link1: dataplane auto: the kernel has no MACsec (x), and there is no tap device (y); accepted: a kernel with CONFIG_MACSEC; or "},
		{"    dataplane: kernel\n", plan.Capabilities{NoMACsec: "x"}, "kernel", ":9:16: port link1: dataplane kernel: the kernel has no MACsec (x); accepted: dataplane: userspace or auto, or a kernel with CONFIG_MACSEC"},
		{"    dataplane: userspace\n", plan.Capabilities{NoTap: "y"}, "userspace", ":9:16: port link1: dataplane userspace: there is no tap device (y); accepted: a kernel with CONFIG_TUN and its /dev/net/tun"},
		{"    dataplane: userspace\n", plan.Capabilities{NoMACsec: "x"}, "userspace", ""},
	} {
		for name, text := range map[string]string{"l.yaml": text + c.line, "link1.yaml": goodKeys} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, "l.yaml")
		var stdout, stderr, asJSON bytes.Buffer
		run := func(out, errOut *bytes.Buffer, args ...string) error {
			v := checkOn(anEthernet{mtu: 1532, can: c.can})
			v.SetOut(out)
			v.SetErr(errOut)
			v.SilenceErrors, v.SilenceUsage = true, true
			v.SetArgs(append([]string{"--config", path}, args...))
			return v.Execute()
		}
		err := run(&stdout, &stderr)
		if (err != nil) != (c.want != "") || !strings.HasPrefix(stderr.String()+path, path+c.want) {
			t.Errorf("%q on %+v: %v\n%s", c.line, c.can, err, stderr.String())
		}
		err = run(&asJSON, &stderr, "--json")
		var doc checkDocument
		if (err != nil) != (c.want != "") || json.Unmarshal(asJSON.Bytes(), &doc) != nil || len(doc.Dataplanes) != 1 ||
			string(doc.Dataplanes[0].Dataplane) != c.took || doc.Dataplanes[0].Port != "link1" || doc.Dataplanes[0].Reason == "" {
			t.Errorf("%q on %+v: %v\n%s", c.line, c.can, err, asJSON.String())
		}
	}
}

func TestCheckNamesTheMachineAndTheKeysAtOnce(t *testing.T) {
	dir, out, errOut, err := checkIn(t, "keys:\n  - {ckn: 01, cak: 00112233445566778899aabbccddeeff}\n", 1500)
	file := filepath.Join(dir, "l.yaml")
	want := file + ":5:27: mtu 1500 of port link1 needs an MTU of 1532 on device eth1, which has 1500; accepted: mtu up to 1468, or ip link set eth1 mtu 1532\n" +
		"      - {name: link1, device: eth1, interface: macsec1, keychain: link1}\n" + "    " + strings.Repeat(" ", 26) + "^\n" +
		filepath.Join(dir, "link1.yaml") + ":2:20: the CAK of CKN 01 has 16 octets, too few for gcm-aes-256 of port link1 (" + file + ":5:63); accepted: 32 octets: 64 hex digits; or a 128-bit cipher on the port\n"
	if err == nil || out != "" || errOut != want {
		t.Errorf("%v, %q, got\n%s\nwant\n%s", err, out, errOut, want)
	}
}

// A key that is wrong does not hide that another is too short.
func TestCheckNamesShortKeysBesideBadOnes(t *testing.T) {
	const long = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for name, bad := range map[string]string{
		"odd": "{ckn: 02, cak: " + long[1:] + "}", "duplicate": "{ckn: 01, cak: " + long + "}", "expired before it begins": "{ckn: 02, cak: " + long + ", not_before: 2026-11-01T00:00:00Z, expires: 2026-11-01T00:00:00Z}",
	} {
		dir, _, errOut, err := checkIn(t, "keys:\n  - {ckn: 01, cak: "+long[:32]+"}\n  - "+bad+"\n", 1532)
		file := filepath.Join(dir, "link1.yaml")
		lines := strings.Split(strings.TrimSpace(errOut), "\n")
		if err == nil || len(lines) != 2 || !strings.HasPrefix(lines[0], file+":2:20: the CAK of CKN 01 has 16 octets, too few") || !strings.HasPrefix(lines[1], file+":3:") {
			t.Errorf("%s: %v\n%s", name, err, errOut)
		}
		if strings.Contains(errOut, "00112233") {
			t.Errorf("%s: a key is shown: %s", name, errOut)
		}
	}
}

// full is a device without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A check whose answer cannot be written has not answered.
func TestCheckOutputFails(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"l.yaml": checkConfig, "link1.yaml": goodKeys} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{}, {"--print"}, {"--json"}} {
		c := checkOn(anEthernet{mtu: 1532})
		c.SetOut(full{})
		c.SilenceErrors, c.SilenceUsage = true, true
		c.SetArgs(append([]string{"--config", filepath.Join(dir, "l.yaml")}, args...))
		if err := c.Execute(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("check %v: %v", args, err)
		}
	}
}
