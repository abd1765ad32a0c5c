package netconfig

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/tests/golden"
)

var files = map[string]string{
	"v2": `network:
  version: 2
  renderer: NetworkManager
  ethernets:
    wan:
      match: {macaddress: "52:54:00:AB:cd:01", driver: virtio}
      set-name: wan0
      dhcp4: true
      dhcp6: yes
      accept-ra: false
      mtu: 9000
      optional: true
    enp0s4:
      addresses: [10.0.0.4/24, "2001:db8::4/64"]
      gateway4: 10.0.0.1
      routes:
        - {to: default, via: "2001:db8::1"}
        - {to: 10.20.0.0/16, via: 10.0.0.9, metric: 50}
        - {to: 10.30.0.7/16, via: 10.99.0.9, on-link: true}
      nameservers: {addresses: [10.0.0.53, "2001:db8::53"], search: [example.com, corp.example.com]}
    lan:
      match: {name: "en*"}
  bonds:
    bond0: {}
`,
	"v1": `version: 1
config:
  - type: physical
    name: eth0
    mac_address: 52:54:00:ab:cd:02
    subnets:
      - {type: dhcp}
      - type: static
        address: 10.0.0.4
        netmask: 255.255.255.0
        gateway: 10.0.0.1
        dns_nameservers: [10.0.0.53]
        routes:
          - {network: 10.20.0.0, netmask: 255.255.0.0, gateway: 10.0.0.9}
      - {type: static6, address: "2001:db8::4/64"}
  - type: physical
    name: eth1
    mtu: 1400
    subnets: [{type: manual}, {type: odd}]
  - {type: nameserver, address: [192.0.2.53], search: example.com}
  - {type: bond, name: bond0}
`,
}

func TestRead(t *testing.T) {
	for name, text := range files {
		b := &bundle.Bundle{}
		if err := Read(b, "network-config", text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var all strings.Builder
		for _, f := range b.Files {
			all.WriteString("== " + f.Path + " " + f.Mode.String() + "\n" + string(f.Data))
		}
		all.WriteString("== ignored\n" + strings.Join(b.Ignored, "\n") + "\n")
		path := filepath.Join("testdata", name)
		golden.Check(t, path, all.String())
	}
}

func TestRefused(t *testing.T) {
	v2 := func(rest string) string { return "version: 2\nethernets:\n  eth0: {" + rest + "}\n" }
	v1 := func(rest string) string {
		return "version: 1\nconfig:\n  - {type: physical, name: eth0, subnets: [{type: static, " + rest + "}]}\n"
	}
	for text, want := range map[string]string{
		"version: 3\n":                   "network-config:1:10: version: \"3\"",
		"ethernets: {}\n":                "network-config has no version",
		"network: [1]\n":                 "network is a list",
		v2("mtu: 1"):                     "accepted: a number from 68 to 65535",
		v2("dhcp4: perhaps"):             "network-config:3:17: dhcp4: \"perhaps\"",
		v2("addresses: [10.0.0.4]"):      "accepted: an address with its prefix length",
		v2("routes: [{to: 10.0.0.0/8}]"): "a route has no via",
		v2("routes: [{to: 10.0.0.0/8, via: \"2001:db8::1\"}]"): "to and via are of two families",
		v2("match: {}"):                                             "match is empty",
		v2("match: {name: \"a b\"}"):                                "accepted: the name of an interface",
		v2("match: {macaddress: \"52:54\"}"):                        "accepted: a MAC address",
		v2("nameservers: {search: [\"x\\nDNS=1.2.3.4\"]}"):          "accepted: a domain",
		"version: 2\nethernets: {\"a/b\": {dhcp4: true}}\n":         "an interface without match",
		v1("address: 10.0.0.4, netmask: 255.0.255.0"):               "accepted: a mask",
		v1("address: 10.0.0.4"):                                     "a subnet has no netmask",
		v1("address: 10.0.0.4/24, routes: [{network: 10.0.0.0/8}]"): "a route has no gateway",
		"version: 2\nethernets: &a {x: *a}\n":                       "YAML",
	} {
		b := &bundle.Bundle{}
		if err := Read(b, "network-config", text); err == nil || !strings.Contains(err.Error(), want) || len(b.Files) > 0 {
			t.Errorf("%q: %v, %d files; want %q", text, err, len(b.Files), want)
		}
	}
}

// What is written is lines of networkd's, whatever is read.
func FuzzRead(f *testing.F) {
	for _, text := range files {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := &bundle.Bundle{}
		if Read(b, "network-config", text) != nil {
			return
		}
		keys := "Name MACAddress Kind Type RequiredForOnline MTUBytes DHCP IPv6AcceptRA Address DNS Domains Destination Gateway GatewayOnLink Metric UseHostname"
		for _, file := range b.Files {
			for line := range strings.Lines(string(file.Data)) {
				line = strings.TrimSuffix(line, "\n")
				key, _, isKey := strings.Cut(line, "=")
				if line != "" && line[0] != '#' && line[0] != '[' && (!isKey || !strings.Contains(keys, key)) {
					t.Errorf("%q makes the line %q", text, line)
				}
			}
		}
	})
}
