package firewall

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/tests/golden"
)

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/linkseal/linkseal.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// configurations are what the golden files are made of, and what nft is asked
// about.
var configurations = map[string]string{
	"port": `version: 1
keychains: {link1: {source: file, path: keys/link1.yaml}}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1, addresses: [192.0.2.1/30]}
  - {name: link2, device: "en*p0", interface: macsec2, keychain: link1, mtu: 9000}
`,
	"tunnels": `version: 1
metrics: {listen: 10.0.0.4:9469}
keychains: {k: {source: file, path: keys/k.yaml}}
tunnels:
  - name: hub1
    type: wireguard
    device: eth0
    interface: wg-hub1
    local: 10.0.0.4
    remote: 10.20.0.5
    count: 2
    protect: [10.20.0.0/16]
    addresses: [169.254.21.2/30]
    wireguard: {port: 51820, peer_public_key: "` + key + `", keychain: k}
  - name: hub2
    type: ipsec
    device: eth0
    interface: ipsec-hub2
    local: "2001:db8::4"
    remote: "2001:db8::5"
    protect: [10.30.0.0/17]
    ipsec: {profile: azure-vpn-gateway, auth: psk, keychain: k}
  - name: host
    type: ipsec
    device: eth0
    local: 10.0.0.4
    remote: 10.40.0.5
    ipsec: {auth: psk, keychain: k, mode: transport}
`,
	"metrics": `version: 1
metrics: {listen: "0.0.0.0:9469"}
keychains: {link1: {source: file, path: keys/link1.yaml}}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`,
}

func TestRules(t *testing.T) {
	for name, text := range configurations {
		golden.Check(t, "testdata/"+name+".nft", Rules(State{Config: parse(t, text), SSH: true, Additions: []string{"/etc/linkseal/nftables.d/bgp.nft"}}))
	}
}

// What the machine boots with is what it has without a configuration.
func TestStatic(t *testing.T) {
	text, err := os.ReadFile("../rootfs/etc/nftables.conf")
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			rules.WriteString(line)
		}
	}
	if d := cmp.Diff(rules.String(), Rules(State{})); d != "" {
		t.Error(d)
	}
}

func TestNetworks(t *testing.T) {
	var all strings.Builder
	for _, name := range []string{"port", "tunnels"} {
		files := OwnedBy(parse(t, configurations[name])).Networks()
		for _, f := range []string{"eth0", "eth1", "en*p0", "macsec1", "macsec2", "wg-hub1", "wg-hub1-1", "ipsec-hub2"} {
			if text, ok := files[NetworkPrefix+f+".network"]; ok {
				all.WriteString("== " + name + ": " + f + "\n" + text)
				delete(files, NetworkPrefix+f+".network")
			}
		}
		if len(files) > 0 {
			t.Errorf("%s: also %v", name, files)
		}
	}
	golden.Check(t, "testdata/networks", all.String())
	if len(OwnedBy(nil).Networks()) != 0 {
		t.Error("files without a configuration")
	}
	golden.Check(t, "testdata/devices.rules", OwnedBy(parse(t, configurations["port"])).DeviceRules())
}

func TestWriteNetworks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "network")
	for i, step := range []struct {
		files   map[string]string
		changed bool
	}{
		{nil, false},
		{map[string]string{"10-linkseal-a.network": "a", "10-linkseal-b.network": "b"}, true},
		{map[string]string{"10-linkseal-a.network": "a", "10-linkseal-b.network": "b"}, false},
		{map[string]string{"10-linkseal-a.network": "A"}, true},
	} {
		changed, err := WriteNetworks(dir, step.files)
		if err != nil || changed != step.changed {
			t.Errorf("step %d: %t, %v", i, changed, err)
		}
		got := map[string]string{}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, _ := os.ReadFile(filepath.Join(dir, e.Name()))
			got[e.Name()] = string(text)
		}
		if len(got) != len(step.files) || !cmp.Equal(got, step.files) && len(got) > 0 {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// An operator's file that is refused takes nothing else with it, and is told.
func TestApplyWithoutAdditions(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.nft", "a.nft", ".c.nft", "d.txt", "e*.nft"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	additions, err := FindAdditions(dir)
	if want := []string{dir + "/a.nft", dir + "/b.nft"}; err != nil || !cmp.Equal(additions, want) {
		t.Fatalf("%q, %v", additions, err)
	}
	if none, err := FindAdditions(filepath.Join(dir, "none")); err != nil || len(none) != 0 {
		t.Errorf("%q, %v", none, err)
	}
	// One that is no directory is as if it were empty, and told.
	if none, err := FindAdditions(filepath.Join(dir, "d.txt")); err == nil || !strings.Contains(err.Error(), "d.txt is read") || len(none) != 0 {
		t.Errorf("%q, %v", none, err)
	}
	var loaded string
	err = Apply(State{SSH: true, Additions: additions}, func(rules string) error {
		if strings.Contains(rules, "include") {
			return errors.New("a.nft:1: syntax error")
		}
		loaded = rules
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "a.nft:1") || loaded != Rules(State{SSH: true}) {
		t.Errorf("%v\n%s", err, loaded)
	}
}
