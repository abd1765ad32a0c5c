package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const minimal = `version: 1
keychains:
  link1: {source: file, path: keys/link1.yaml}
ports:
  - name: link1
    device: eth1
    interface: macsec1
    keychain: link1
`

func TestDefaults(t *testing.T) {
	c, err := Parse("/etc/linkseal/linkseal.yaml", minimal)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "/etc/linkseal/linkseal.yaml", Socket: "/run/linkseal/linkseal.sock", State: "/var/lib/linkseal",
		Keychains: []Keychain{{Name: "link1", Source: SourceFile, Path: "/etc/linkseal/keys/link1.yaml"}},
		Ports: []Port{{
			Name: "link1", Device: "eth1", Interface: "macsec1", Dataplane: "auto", Must: true, Cipher: "gcm-aes-256", Encrypt: true, SendSCI: true, MTU: 1500, Keychain: "link1",
			MKA: MKA{Priority: 16, Hello: 2 * time.Second, Life: 6 * time.Second, Destination: MAC{1, 0x80, 0xc2, 0, 0, 3}, EtherType: 0x888e},
		}},
	}
	if d := diff(want, c); d != "" {
		t.Error(d)
	}
}

func diff(a, b *Config) string {
	return cmp.Diff(a, b, cmpopts.IgnoreUnexported(Config{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }))
}

// whole is the public example of version 1, every key given.
func whole(t *testing.T) string {
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhole(t *testing.T) {
	c, err := Parse("testdata/whole.yaml", whole(t))
	if err != nil {
		t.Fatal(err)
	}
	if p := c.Ports[0]; p.Cipher != "gcm-aes-xpn-256" || !p.Must || *p.ReplayWindow != 64 || p.Addresses[0].String() != "192.0.2.1/30" || len(p.Allow) != 1 {
		t.Errorf("%+v", p)
	}
	tags := []TagRule{
		{"voice", TagEgress, 100, 10, 46, netip.MustParsePrefix("10.1.0.0/16"), 17, 5060, 0x10, 0xff, 6, 34},
		{"site", TagBoth, 0, 0, -1, netip.MustParsePrefix("2001:db8:1::/48"), -1, 0, 32, 0xffffffff, -1, -1},
	}
	if d := cmp.Diff(tags, c.Ports[0].Tags, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Error(d)
	}
	v := c.Keychain("link2").Vault
	if v.URL != "https://contoso.vault.azure.net" || v.CAK != "link2-cak" || v.Poll != 5*time.Minute || v.Rotation.Every != 720*time.Hour || v.Credential.Type != "managed-identity" || v.Endpoint != "10.1.2.4" || v.CA != "/etc/linkseal/vault-ca.pem" {
		t.Errorf("%+v", v)
	}
	if c.Group != "netops" || c.Sealing.With != SealTPM || !slices.Equal(c.Sealing.PCRs, []int{7, 11}) {
		t.Errorf("group %s, sealing %+v", c.Group, c.Sealing)
	}
	if d := diff(c, again(t, c)); d != "" {
		t.Errorf("printed and read: %s", d)
	}
}

func again(t interface{ Fatalf(string, ...any) }, c *Config) *Config {
	text := c.YAML()
	back, err := Parse(c.File, text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return back
}

func TestRefuses(t *testing.T) {
	// Each case replaces one line, or adds lines to the port.
	type edit struct{ old, new string }
	port := func(lines string) edit {
		return edit{"    keychain: link1\n", "    keychain: link1\n    " + strings.ReplaceAll(lines, "\n", "\n    ") + "\n"}
	}
	for _, tc := range []struct {
		name string
		edit
		want string // without the file; several joined by |
	}{
		{"no version", edit{"version: 1\n", ""}, "1:1: the configuration has no version; accepted: version: 1"},
		{"version", edit{"version: 1", "version: 2"}, `1:10: version: "2"; accepted: 1`},
		{"unknown top", edit{"version: 1", "version: 1\nport: 1"}, `2:1: unknown key "port" in the configuration (did you mean ports?); accepted: version, name, control, metrics, state, sealing, keychains, ports, tunnels`},
		{"unknown in port", port("chipher: x"), `9:5: unknown key "chipher" in port 1 (did you mean cipher?)`},
		{"unknown in mka", port("mka: {priorty: 1}"), `9:11: unknown key "priorty" in mka (did you mean priority?)`},
		{"no device", edit{"    device: eth1\n", ""}, "5:5: port 1 has no device; accepted: device: the name of a network interface"},
		{"long interface", edit{"macsec1", "macsec1234567890"}, `7:16: interface: "macsec1234567890"; accepted: the name of a network interface: up to 15 octets`},
		{"15 is not too long", edit{"macsec1", "macsec123456789"}, ""},
		{"bad device", edit{"eth1", "eth1:0"}, `6:13: device: "eth1:0"; accepted: the name`},
		{"sysctl's word", edit{"eth1", "all"}, `6:13: device: "all"; accepted: the name`},
		{"same", edit{"macsec1", "eth1"}, "7:16: interface and device are both eth1; accepted: another name"},
		{"keychain", edit{"keychain: link1", "keychain: link2"}, "8:15: there is no keychain link2; accepted: a keychain of this file: link1"},
		{"cipher", port("cipher: aes-256"), `9:13: cipher: "aes-256"; accepted: gcm-aes-128, gcm-aes-256, gcm-aes-xpn-128, gcm-aes-xpn-256`},
		{"userspace", port("dataplane: userspace"), ""},
		{"dataplane", port("dataplane: dpdk"), `9:16: dataplane: "dpdk"; accepted: auto, kernel, userspace`},
		{"offset, userspace", port("dataplane: userspace\nconfidentiality_offset: 30"), ""},
		{"delay protection, userspace", port("dataplane: userspace\nmka: {hello: 500ms}"), ""},
		{"shorter hello, userspace", port("dataplane: userspace\nmka: {hello: 499ms}"), "10:18: hello 499ms; accepted: 500ms to 1m"},
		{"offset, XPN", port("cipher: gcm-aes-xpn-128\nconfidentiality_offset: 30"), "10:29: confidentiality_offset 30 with the XPN suite gcm-aes-xpn-128; accepted: 0, or a cipher without XPN"},
		{"offset, kernel", port("dataplane: kernel\nconfidentiality_offset: 50"), "10:29: confidentiality_offset 50 with dataplane kernel: the kernel has no offset; accepted: 0, or dataplane: userspace"},
		{"offset, auto", port("confidentiality_offset: 30"), "9:29: confidentiality_offset 30 with dataplane auto: the kernel has no offset; accepted: 0, or dataplane: userspace"},
		{"offset 7", port("confidentiality_offset: 7"), `9:29: confidentiality_offset: "7"; accepted: 0, 30, 50`},
		{"window", port("replay_window: 4294967296"), `9:20: replay_window: "4294967296"; accepted: a number from 0 to 4294967295`},
		{"greatest window", port("replay_window: 4294967295"), ""},
		{"window with XPN", port("cipher: gcm-aes-xpn-256\nreplay_window: 1073741824"), `10:20: replay_window: "1073741824"; accepted: a number from 0 to 1073741823`},
		{"greatest window with XPN", port("cipher: gcm-aes-xpn-256\nreplay_window: 1073741823"), ""},
		{"priority", port("mka: {priority: 256}"), `9:21: priority: "256"; accepted: a number from 0 to 255`},
		{"delay protection", port("mka: {hello: 500ms}"), "9:18: hello 500ms is delay protection, which dataplane auto has not; accepted: more than 500ms, up to 1m"},
		{"long hello", port("mka: {hello: 2m}"), "9:18: hello 2m; accepted: more than 500ms, up to 1m"},
		{"short life", port("mka: {hello: 2s, life: 5s}"), "9:28: life 5s is under three hellos of 2s; accepted: life of 6s to 10m"},
		{"default life too short", port("mka: {hello: 3s}"), "9:18: life 6s is under three hellos of 3s; accepted: life of 9s to 10m"},
		{"long life", port("mka: {life: 1d}"), "9:17: life 1d; accepted: life of 6s to 10m"},
		{"rekey", port("mka: {rekey: 1s}"), "9:18: rekey 1s is under the life of 6s; accepted: 0s (never for its age), or 6s and more"},
		{"rekey in days", port("mka: {rekey: 30d}"), ""},
		{"destination", port("mka: {destination: 01-80-c2-00-00-03}"), `9:24: destination: "01-80-c2-00-00-03"; accepted: a MAC address as 01:80:c2:00:00:03`},
		{"ethertype decimal", port("mka: {ethertype: 34958}"), `9:22: ethertype: "34958"; accepted: an EtherType as 0x888e, from 0x0600`},
		{"ethertype quoted", port("mka: {ethertype: '0x888E'}"), ""},
		{"ethertype of MACsec", port("mka: {ethertype: 0x88e5}"), "9:22: ethertype 0x88e5 is MACsec; accepted: an EtherType as 0x888e, from 0x0600, none in use"},
		{"ethertype of IPv4", port("mka: {ethertype: 0x0800}"), "9:22: ethertype 0x0800 is IPv4"},
		{"a length", port("mka: {ethertype: 0x05dc}"), `9:22: ethertype: "0x05dc"`},
		{"mtu", port("mtu: 67"), `9:10: mtu: "67"; accepted: a number from 68 to 65503`},
		{"mtu for IPv6", port("mtu: 1279\naddresses: ['2001:db8::1/64']"), "9:10: mtu 1279 is too small for IPv6 address 2001:db8::1/64; accepted: 1280 to 65503"},
		{"address", port("addresses: [192.0.2.1, 192.0.2.5/30]"), `9:17: address: "192.0.2.1"; accepted: an address with its prefix length as 192.0.2.1/30`},
		{"address twice", port("addresses: [192.0.2.1/30, 192.0.2.1/30]"), "9:31: 192.0.2.1/30 is in the list twice; accepted: each once"},
		{"multicast", port("addresses: [224.0.0.1/4]"), `9:17: address: "224.0.0.1/4"`},
		{"allow", port("allow: [lldp, stp]"), `9:19: protocol: "stp"; accepted: `},
		{"allow twice", port("allow: [lldp, lldp]"), "9:19: lldp is in the list twice; accepted: each once"},
		{"bool", port("encrypt: no"), `9:14: encrypt: "no"; accepted: true, false`},
		{"secure", port("secure: maybe"), `9:13: secure: "maybe"; accepted: must, should`},
		{"second port alike", port("\n- {name: link1, device: eth1, interface: macsec1, keychain: link1}"), ""},
		{"tags that only count", port("tags: []"), ""},
		{"tags", port("tags: voice"), `9:11: tags: "voice"; accepted: a list of up to 64 rules`},
		{"unknown in a rule", port("tags: [{name: a, stag: 1}]"), `9:22: unknown key "stag" in rule 1 (did you mean s_tag?)`},
		{"a rule without a name", port("tags: [{s_tag: 1}]"), "9:12: rule 1 has no name; accepted: name: 1 to 63 letters"},
		{"a rule's name twice", port("tags: [{name: a}, {name: a}]"), "9:23: the name a is in the list twice; accepted: each once"},
		{"other", port("tags: [{name: other}]"), "9:19: other is the class of frames that no rule matches; accepted: another name"},
		{"direction", port("tags: [{name: a, direction: in}]"), `9:33: direction: "in"; accepted: egress, ingress, both`},
		{"priority tag", port("tags: [{name: a, s_tag: 0, c_tag: 4095}]"), `9:29: s_tag: "0"; accepted: a number from 1 to 4094|9:39: c_tag: "4095"; accepted: a number from 1 to 4094`},
		{"DSCP", port("tags: [{name: a, dscp: 64, set: {dscp: ef}}]"), `9:28: dscp: "64"; accepted: a number from 0 to 63|9:44: dscp: "ef"; accepted: a number from 0 to 63`},
		{"rule's prefix", port("tags: [{name: a, prefix: 10.1.2.3/16}]"), `9:30: prefix: "10.1.2.3/16"; accepted: a network as 10.20.0.0/16 or 2001:db8::/32`},
		{"rule's protocol", port("tags: [{name: a, protocol: 255}]"), `9:32: protocol: "255"; accepted: tcp, udp, icmp, icmpv6, esp, gre, sctp, or a number from 0 to 254`},
		{"port of all", port("tags: [{name: a, port: 53}]"), ""},
		{"port of none", port("tags: [{name: a, protocol: esp, port: 53}]"), "9:43: protocol esp has no ports; accepted: tcp, udp, sctp, 33 or 136, or no protocol for all of them"},
		{"mark outside its mask", port("tags: [{name: a, set: {mark: 0x100/0xff}}]"), `9:34: mark: "0x100/0xff"; accepted: a mark as 0x10, or with a mask as 0x10/0xff`},
		{"mark", port("tags: [{name: a, set: {mark: -1}}]"), `9:34: mark: "-1"; accepted: a mark`},
		{"mark, octal to ip rule", port("tags: [{name: a, set: {mark: 010}}]"), `9:34: mark: "010"; accepted: a mark as 0x10, or with a mask as 0x10/0xff, up to 32 bits, none outside the mask; decimal without leading zeros`},
		{"mask, octal to ip rule", port("tags: [{name: a, set: {mark: 1/017}}]"), `9:34: mark: "1/017"; accepted: a mark`},
		{"rule's priority", port("tags: [{name: a, set: {priority: 4294967296}}]"), `9:38: priority: "4294967296"; accepted: a number from 0 to 4294967295`},
		{"65 rules", port("tags:" + strings.Repeat("\n- {protocol: tcp, name: a}", 65)), ""},
		{"no ports", edit{"ports:\n  - name: link1\n    device: eth1\n    interface: macsec1\n    keychain: link1\n", ""}, "1:1: the configuration has no ports; accepted: ports: a list of ports, at least one"},
		{"socket", edit{"version: 1", "version: 1\ncontrol: {socket: run/x}"}, `2:19: socket: "run/x"; accepted: an absolute path`},
		{"long socket", edit{"version: 1", "version: 1\ncontrol: {socket: /" + strings.Repeat("x", 107) + "}"}, "2:19: socket is longer than a socket's address can be; accepted: a path of up to 107 octets"},
		{"metrics", edit{"version: 1", "version: 1\nmetrics: {listen: 9469}"}, `2:19: listen: "9469"; accepted: an address and a port as 127.0.0.1:9469`},
		{"metrics by name", edit{"version: 1", "version: 1\nmetrics: {listen: localhost:9469}"}, `2:19: listen: "localhost:9469"; accepted: an address and a port as 127.0.0.1:9469`},
		{"metrics at no port", edit{"version: 1", "version: 1\nmetrics: {listen: 127.0.0.1:0}"}, `2:19: listen: "127.0.0.1:0"; accepted: an address and a port as 127.0.0.1:9469`},
		{"metrics to many", edit{"version: 1", "version: 1\nmetrics: {listen: 224.0.0.1:9469}"}, `2:19: listen: "224.0.0.1:9469"; accepted: an address and a port as 127.0.0.1:9469`},
		{"metrics nowhere", edit{"version: 1", "version: 1\nmetrics: {}"}, `2:10: metrics has no listen; accepted: listen: an address and a port as 127.0.0.1:9469`},
		{"source", edit{"source: file", "source: vault"}, `3:19: source: "vault"; accepted: file, azure-key-vault`},
		{"file with vault's keys", edit{"path: keys/link1.yaml", "path: x, cak: y"}, "3:39: cak does not go with source: file; accepted: leave it out"},
		{"no path", edit{", path: keys/link1.yaml", ""}, "3:10: keychain link1 has no path; accepted: path: the path of a key file, mode 0600"},
		{"group", edit{"version: 1", "version: 1\ncontrol: {group: 'net ops'}"}, `2:18: group: "net ops"; accepted: the name or number of a group`},
		{"sealing", edit{"version: 1", "version: 1\nsealing: {path: x}"}, `2:10: sealing has no with; accepted: with: tpm, credential, file`},
		{"sealing with a file", edit{"version: 1", "version: 1\nsealing: {with: file, pcrs: [7]}"}, `2:29: pcrs does not go with with: file; accepted: leave it out`},
		{"sealing to PCRs", edit{"version: 1", "version: 1\nsealing: {with: tpm, path: x, pcrs: [24, 7, 7]}"}, `2:28: path does not go with with: tpm|2:38: a PCR: "24"; accepted: |2:45: the PCR is listed twice; accepted: each once`},
		{"vault's place", edit{"{source: file, path: keys/link1.yaml}", "{source: azure-key-vault, vault: 'https://x', cak: a, ckn: c, credential: {type: managed-identity}, endpoint: host, proxy: 'http://u:p@x'}"},
			`3:120: endpoint: "host"; accepted: an IP address|3:133: proxy: "http://u:p@x"; accepted: the URL of a proxy`},
		{"vault", edit{"{source: file, path: keys/link1.yaml}", "{source: azure-key-vault, vault: 'http://x', cak: a_b, ckn: c, poll: 0s, credential: {type: client-secret, certificate: x}, rotation: {every: 1h}}"},
			`3:43: vault: "http://x"; accepted: the vault's URL|3:60: cak: [hidden]; accepted: the name of a secret|3:79: poll 0s; accepted: 1s and more|` +
				"3:95: credential has no secret_file|3:95: credential has no client_id|3:95: credential has no tenant_id|3:130: certificate does not go with type: client-secret|3:152: every is not longer than overlap; accepted: a duration longer than 1h"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(minimal, tc.old, tc.new, 1)
			if text == minimal {
				t.Fatal("the edit changes nothing")
			}
			if tc.name == "65 rules" {
				for i := range 65 {
					text = strings.Replace(text, "name: a}", fmt.Sprintf("name: a%d}", i), 1)
				}
				tc.want = "74:7: tags has 65 rules; accepted: up to 64"
			}
			if tc.name == "second port alike" {
				text = minimal + "  - {name: link1, device: eth1, interface: macsec1, keychain: link1}\n"
				tc.want = "9:12: name link1 is in use in line 5 already; accepted: each name once|9:27: device eth1 is in use in line 6 already; accepted: each device once|9:44: interface macsec1 is in use in line 7 already; accepted: each interface once"
			}
			_, err := Parse("l.yaml", text)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var ps strict.Problems
			if !errors.As(err, &ps) {
				t.Fatalf("accepted: %v", err)
			}
			want := strings.Split(tc.want, "|")
			for i, p := range ps {
				if i >= len(want) || !strings.HasPrefix(p.Error(), "l.yaml:"+want[i]) {
					t.Errorf("%v", p)
				}
			}
			if len(ps) != len(want) {
				t.Errorf("%d problems, want %d:\n%s", len(ps), len(want), strings.Join(want, "\n"))
			}
		})
	}
}

// A key pasted into the configuration is not shown again.
func TestKeysAreHidden(t *testing.T) {
	const key = "c0ffee0011223344c0ffee5566778899"
	for _, text := range []string{
		strings.Replace(minimal, "link1.yaml}", "link1.yaml, cak: "+key+"}", 1),
		strings.Replace(minimal, "keychain: link1", "keychain: "+key, 1),
		minimal + "    " + key + ": x\n", minimal + "    cak: \"" + key + "\n", "keys:\n  - cak: " + key + "\n", minimal + "    mka: {hello: " + key + "}\n",
	} {
		_, err := Parse("l.yaml", text)
		var ps strict.Problems
		if !errors.As(err, &ps) {
			t.Fatalf("accepted:\n%s", text)
		}
		for _, p := range ps {
			if all := fmt.Sprintf("%s%s%+v", p.Text(), p.Error(), *p); strings.Contains(all, key[:8]) {
				t.Errorf("shown: %s", all)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	c, err := Load(filepath.Join(t.TempDir(), "absent.yaml"))
	if err == nil || c == nil || !strings.Contains(err.Error(), "absent.yaml:1:1: the configuration cannot be read: no such file or directory; accepted: a readable file") {
		t.Errorf("%v", err)
	}
	if p := c.Problem("ports.0.device", "what", "this"); p.Error() != c.File+":1:1: what; accepted: this" {
		t.Errorf("%v", p)
	}
	path := filepath.Join(t.TempDir(), "l.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c.Keychains[0].Path != filepath.Join(filepath.Dir(path), "keys/link1.yaml") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCheckKeys(t *testing.T) {
	c, err := Parse("l.yaml", minimal)
	if err != nil {
		t.Fatal(err)
	}
	key := func(n int) keychain.Key {
		return keychain.Key{CKN: "\x01", CAK: secret.New(make([]byte, n)), Origin: keychain.Origin{File: "k.yaml", Line: 3, Column: 10}}
	}
	chain := func(k ...keychain.Key) map[string]*keychain.Keychain {
		return map[string]*keychain.Keychain{"link1": {Keys: k}}
	}
	for _, tc := range []struct {
		cipher Cipher
		octets int
		ok     bool
	}{{"gcm-aes-128", 16, true}, {"gcm-aes-128", 32, true}, {"gcm-aes-xpn-128", 16, true}, {"gcm-aes-256", 16, false}, {"gcm-aes-256", 32, true}, {"gcm-aes-xpn-256", 16, false}, {"gcm-aes-xpn-256", 32, true}} {
		c.Ports[0].Cipher = tc.cipher
		ps := c.CheckKeys(chain(key(tc.octets)))
		if tc.ok != (len(ps) == 0) {
			t.Errorf("%s with %d octets: %v", tc.cipher, tc.octets, ps)
		}
		want := fmt.Sprintf("k.yaml:3:10: the CAK of CKN 01 has 16 octets, too few for %s of port link1 (l.yaml:8:15); accepted: 32 octets: 64 hex digits; or a 128-bit cipher on the port", tc.cipher)
		if !tc.ok && ps.Error() != want {
			t.Errorf("%s\nwant\n%s", ps.Error(), want)
		}
	}
	ps := c.CheckKeys(map[string]*keychain.Keychain{"link1": {PSKs: []keychain.PSK{{ID: "a"}}}})
	if len(ps) != 1 || ps[0].Line != 8 || ps[0].Source != "    keychain: link1" {
		t.Errorf("%v", ps)
	}
	if ps := c.CheckKeys(nil); len(ps) != 0 {
		t.Errorf("an unread keychain is reported twice: %v", ps)
	}
}

type machine map[string]Device

func (m machine) Device(name string) (Device, bool, error) {
	if name == "broken" {
		return Device{}, false, errors.New("no netlink")
	}
	d, ok := m[name]
	return d, ok, nil
}

func (machine) Group(name string) (uint32, bool, error) {
	if name == "broken" {
		return 0, false, errors.New("no /etc/group")
	}
	return 990, name == "netops", nil
}

func TestCheckSystem(t *testing.T) {
	m := machine{"eth1": {1532, true}, "small": {1531, true}, "lo": {65536, false}}
	for device, want := range map[string]string{
		"eth1":   "",
		"small":  "l.yaml:6:13: mtu 1500 of port link1 needs an MTU of 1532 on device small, which has 1531; accepted: mtu up to 1499, or ip link set small mtu 1532",
		"eth9":   "l.yaml:6:13: there is no device eth9 on this machine; accepted: the name of a network interface (ip link lists them)",
		"lo":     "l.yaml:6:13: device lo is not Ethernet; accepted: an Ethernet interface",
		"broken": "l.yaml:6:13: device broken cannot be examined: no netlink; accepted: a network interface of this machine",
	} {
		c, err := Parse("l.yaml", strings.Replace(minimal, "eth1", device, 1))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.CheckSystem(m).Error(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
	c, err := Parse("l.yaml", minimal+"    mtu: 1501\n")
	if err != nil {
		t.Fatal(err)
	}
	if ps := c.CheckSystem(m); len(ps) != 1 || ps[0].Line != 9 || ps[0].Column != 10 {
		t.Errorf("%v", ps)
	}
}

// What is printed reads as what was printed, whatever the values.
func TestPrintedReads(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,9}`)
	rapid.Check(t, func(t *rapid.T) {
		c, err := Parse("/etc/l.yaml", minimal)
		if err != nil {
			t.Fatal(err)
		}
		c.Name = name.Draw(t, "name")
		c.Keychains[0] = Keychain{Name: name.Draw(t, "keychain"), Source: SourceFile, Path: "/" + rapid.StringOf(rapid.RuneFrom([]rune(`aZ09 _-.:#'"\é{}[],&*!|>%@~`))).Draw(t, "path")}
		p := &c.Ports[0]
		p.Name, p.Keychain = name.Draw(t, "port"), c.Keychains[0].Name
		p.Device, p.Interface = "d"+name.Draw(t, "device"), rapid.StringMatching(`[0-9e.+_-]{0,5}1`).Draw(t, "interface")
		p.Dataplane = rapid.SampledFrom([]string{Auto, Kernel}).Draw(t, "dataplane")
		p.Must, p.Encrypt, p.SendSCI = rapid.Bool().Draw(t, "must"), rapid.Bool().Draw(t, "encrypt"), rapid.Bool().Draw(t, "sci")
		p.Cipher = Cipher(rapid.SampledFrom(ciphers()).Draw(t, "cipher"))
		if w := rapid.Uint32Max(maxXPNWindow).Draw(t, "window"); w%3 > 0 {
			p.ReplayWindow = &w
		}
		p.MTU = rapid.IntRange(minMTU6, maxMTU).Draw(t, "mtu")
		p.Addresses = rapid.SampledFrom([][]netip.Prefix{nil, {}, {netip.MustParsePrefix("192.0.2.1/30"), netip.MustParsePrefix("2001:db8::1/64")}}).Draw(t, "addresses")
		p.Allow = rapid.SampledFrom([][]string{nil, {"lldp"}, {"lacp", "lldp"}}).Draw(t, "allow")
		p.MKA.Priority = rapid.Uint8().Draw(t, "priority")
		p.MKA.Hello = time.Duration(rapid.Int64Range(int64(boundedHello)+1, int64(maxHello)).Draw(t, "hello"))
		p.MKA.Life = time.Duration(rapid.Int64Range(3*int64(p.MKA.Hello), int64(maxLife)).Draw(t, "life"))
		p.MKA.Rekey = p.MKA.Life + time.Duration(rapid.Int64Range(0, 1e7).Draw(t, "rekey"))*time.Second
		p.MKA.Destination, p.MKA.EtherType = MAC{1, rapid.Uint8().Draw(t, "mac")}, 0x88b5
		p.Tags = genTags(t)
		c.Keychains[0].Path = filepath.Clean(c.Keychains[0].Path)
		back, err := Parse(c.File, c.YAML())
		if err != nil {
			t.Fatalf("%v in\n%s", err, c.YAML())
		}
		if d := diff(c, back); d != "" {
			t.Fatalf("%s\n%s", c.YAML(), d)
		}
		if back.YAML() != c.YAML() {
			t.Fatal("printed again it differs")
		}
	})
}

func TestDefaultPortIsWhatParseGives(t *testing.T) {
	c, err := Parse("l.yaml", minimal)
	if err != nil {
		t.Fatal(err)
	}
	p := DefaultPort()
	p.Name, p.Device, p.Interface, p.Keychain = "link1", "eth1", "macsec1", "link1"
	if !reflect.DeepEqual(p, c.Ports[0]) {
		t.Errorf("%+v\n%+v", p, c.Ports[0])
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(minimal)
	text, err := os.ReadFile("testdata/whole.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("/l.yaml", text)
		var ps strict.Problems
		if errors.As(err, &ps) {
			for _, p := range ps {
				p.Text()
				if p.What == "" || p.Accepted == "" || p.File != "/l.yaml" {
					t.Errorf("%+v", p)
				}
			}
			return
		}
		if d := diff(c, again(t, c)); d != "" {
			t.Error(d)
		}
	})
}
