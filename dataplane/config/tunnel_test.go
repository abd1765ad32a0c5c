package config

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

const (
	oneKey   = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	otherKey = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
)

// hub is line 4 and 5 of a configuration: a tunnel with further keys, and with
// further keys of WireGuard.
func hub(keys, wireguard string) string {
	return "  - {name: hub1, type: wireguard, device: eth1, interface: wg1, local: 10.0.0.4, remote: 10.20.0.5, protect: [10.20.0.0/16]" + keys +
		",\n     wireguard: {peer_public_key: \"" + oneKey + "\"" + wireguard + "}}\n"
}

func tunnelsOf(tunnels string) string {
	return "version: 1\nkeychains: {k: {source: file, path: /k}}\ntunnels:\n" + tunnels
}

var sameAddresses = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

func TestTunnelDefaults(t *testing.T) {
	c, err := Parse("t.yaml", tunnelsOf(hub(", addresses: [169.254.21.2/30]", "")))
	if err != nil {
		t.Fatal(err)
	}
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, s := range list {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	want := []Tunnel{{Name: "hub1", Type: "wireguard", Device: "eth1", Interface: "wg1", Dataplane: "auto", Local: netip.MustParseAddr("10.0.0.4"), Remote: netip.MustParseAddr("10.20.0.5"),
		Count: 1, Must: true, Protect: prefixes("10.20.0.0/16"), Addresses: prefixes("169.254.21.2/30"), MTU: 1400, MSS: 1350, FitMTU: true, FitMSS: true,
		WireGuard: &WireGuard{Port: 51820, PrivateKey: "/var/lib/linkseal/wg.key", PeerPublicKey: oneKey, AllowedIPs: prefixes("10.20.0.0/16", "169.254.21.0/30"), Keepalive: 25 * time.Second}}}
	if d := cmp.Diff(want, c.Tunnels, sameAddresses); d != "" {
		t.Error(d)
	}
}

// What is odd, and can be.
func TestTunnelTakes(t *testing.T) {
	for _, text := range []string{
		hub(", addresses: [10.0.0.4/32]", ""), // without a number of its own
		hub(", addresses: [10.0.0.8/30]", ""),
		strings.Replace(hub("", ""), "10.20.0.0/16", "224.0.0.0/4", 1), // IPv4 routes groups as all
		strings.Replace(hub("", ""), "10.20.0.0/16", "169.254.0.0/16", 1),
		strings.Replace(strings.Replace(hub("", ""), "type: wireguard", "type: ipsec", 1), "wireguard: {peer_public_key: \""+oneKey+"\"}", "ipsec: {auth: certificate, ca: /c, certificate: /c, private_key: /k, remote_id: \"%any\"}", 1),
	} {
		if _, err := Parse("t.yaml", tunnelsOf(text)); err != nil {
			t.Errorf("%v\nin %s", err, text)
		}
	}
}

func TestTunnelsWhole(t *testing.T) {
	c, err := Parse("testdata/whole.yaml", whole(t))
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := c.Tunnels[0], c.Tunnels[1], c.Tunnels[2]
	if one.CopyDSCP || !two.CopyDSCP || *one.Probe != (Probe{netip.MustParseAddr("169.254.21.1"), time.Second, 3}) || one.Ports() != 4 || one.MemberInterface(0) != "wg-hub1" || one.MemberInterface(1) != "wg-hub1-1" {
		t.Errorf("%+v", one)
	}
	if p := one.WireGuard.Peers; len(p) != 2 || p[0].Remote.String() != "10.20.0.9:51900" || p[0].Keychain != "hub1-psk" || p[1].Remote.IsValid() {
		t.Errorf("%+v", p)
	}
	if two.Transport() || two.IPsec.RemoteID != "hub2.example" || two.IPsec.DPD != 10*time.Second || two.Ports() != 1 {
		t.Errorf("%+v", two.IPsec)
	}
	if s := three.IPsec; !three.Transport() || three.Protect[0].String() != "2001:db8::6/128" || s.Auth != AuthCertificate || s.Rekey != (Rekey{4 * time.Hour, time.Hour, 1 << 30}) || s.CA != "/etc/linkseal/ca.pem" {
		t.Errorf("%+v %+v", three, s)
	}
	if got := one.Keychains(); !slices.Equal(got, []string{"hub1-psk"}) {
		t.Errorf("keychains %q", got)
	}
}

func TestTunnelRefuses(t *testing.T) {
	ipsec := func(name, keys, ipsec string) string {
		return "  - {name: " + name + ", type: ipsec, device: eth1, local: 10.0.0.4, remote: 10.9.0.6" + keys + ", ipsec: {keychain: k" + ipsec + "}}\n"
	}
	const port = "ports:\n  - {name: link1, device: eth1, interface: macsec1, addresses: [10.20.3.1/24], keychain: k2}\n"
	for _, c := range []struct{ name, tunnels, want string }{
		{"families", strings.Replace(hub("", ""), "local: 10.0.0.4", `local: "2001:db8::4"`, 1), `local and remote are of two families; accepted: two IPv4 or two IPv6 addresses`},
		{"one address", strings.Replace(hub("", ""), "local: 10.0.0.4", "local: 10.20.0.5", 1), `local and remote are the same address; accepted: the address of the other end|protected prefix 10.20.0.0/16 has local 10.20.0.5 of tunnel hub1 in it; accepted: networks of the other end`},
		{"a zone", strings.Replace(hub("", ""), "local: 10.0.0.4", `local: "fe80::1%eth1"`, 1), `local: "fe80::1%eth1"; accepted: an IPv4 or IPv6 address of a host, without a zone`},
		{"nothing protected", strings.Replace(hub("", ""), "protect: [10.20.0.0/16]", "mtu: 1400", 1), `tunnel hub1 protects nothing: without protect nothing is routed into it; accepted: protect: a list of networks as 10.20.0.0/16; or secure: should`},
		{"mss", hub(", mtu: 1300, mss: 1261", ""), `mss 1261 is more than mtu 1300 leaves; accepted: up to 1260, or 0 for none`},
		{"mtu of IPv6", hub(`, mtu: 1200, addresses: ["fd00::1/64"]`, ""), `mtu 1200 is too small for IPv6, which the tunnel carries; accepted: 1280 to 65535`},
		{"a long name with count", strings.Replace(hub(", count: 11", ""), "wg1", "wg-thirteen-c", 1), `interface wg-thirteen-c has 13 octets, and count: 11 has interfaces up to wg-thirteen-c-10; accepted: up to 12 octets`},
		{"interface is device", strings.Replace(hub("", ""), "wg1", "eth1", 1), `interface and device are both eth1; accepted: another name than the device's: the tunnel's end is made beside it`},
		{"protect is remote", strings.Replace(hub("", ""), "10.20.0.0/16", "10.20.0.5/32", 1), `protected prefix 10.20.0.5/32 is remote itself, to which the tunnel's own packets go beside it; accepted: the networks behind remote, or mode: transport`},
		{"protect has local", strings.Replace(hub("", ""), "10.20.0.0/16", "10.0.0.0/8", 1), `protected prefix 10.0.0.0/8 has local 10.0.0.4 of tunnel hub1 in it; accepted: networks of the other end`},
		{"protect has an own address", hub(", addresses: [10.20.7.1/30]", ""), `protected prefix 10.20.0.0/16 has the network of address 10.20.7.1/30 of tunnel hub1 in it, or is in it; accepted: networks that are reached through this tunnel alone`},
		{"protect of another", hub("", "") + ipsec("hub2", ", interface: x2, protect: [10.20.128.0/17]", ""), `protected prefix 10.20.128.0/17 overlaps 10.20.0.0/16, which tunnel hub1 protects; accepted: networks that are reached through this tunnel alone`},
		{"two names", hub("", "") + ipsec("hub1", ", interface: x2, protect: [10.30.0.0/16]", ""), `name hub1 is in use in line 4 already; accepted: each name once`},
		{"two interfaces", hub(", count: 2", "") + ipsec("hub2", ", interface: wg1-1, protect: [10.30.0.0/16]", ""), `interface wg1-1 is in use in line 4 already; accepted: each interface once`},
		{"on a tunnel", hub("", "") + strings.Replace(ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", ""), "eth1", "wg1", 1), `device wg1 is an interface of tunnel hub1; accepted: the device that carries the tunnel's packets`},
		{"probe to remote", hub(", probe: {address: 10.20.0.5}", ""), `probe to 10.20.0.5 does not go through the tunnel; accepted: an address inside the tunnel that answers pings`},
		{"probe in nobody's", hub(", probe: {address: 192.0.2.1}", ""), `probe address 192.0.2.1 is no peer's: none has it in its allowed_ips; accepted: an address that a peer has, or more allowed_ips`},
		{"probe interval", hub(", probe: {address: 10.20.0.1, interval: 10ms}", ""), `interval 10ms; accepted: 100ms to 1m`},
		{"allowed_ips without", hub("", ", allowed_ips: [10.21.0.0/16]"), `protected prefix 10.20.0.0/16 is no peer's: none has it in its allowed_ips; accepted: one that a peer has, or more allowed_ips`},
		{"a peer twice", hub("", `, peers: [{public_key: "`+oneKey+`", allowed_ips: [10.9.0.0/16]}]`), `two peers have this public key; accepted: each peer once`},
		{"an allowed IP twice", hub("", `, allowed_ips: [10.20.0.0/16, 10.9.0.0/16], peers: [{public_key: "`+otherKey+`", allowed_ips: [10.9.0.0/16]}]`), `10.9.0.0/16 is an allowed IP of the first peer too; accepted: each network with one peer`},
		{"a peer's port alone", hub("", `, peers: [{public_key: "`+otherKey+`", port: 7, allowed_ips: [10.9.0.0/16]}]`), `port of a peer without remote; accepted: remote: an IPv4 or IPv6 address of a host; or leave both out, and the peer comes to us`},
		{"a loose public key", hub("", `, peers: [{public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dh=", allowed_ips: [10.9.0.0/16]}]`), `public_key: "[hidden]"; accepted: 32 octets in base64`},
		{"ports of two", hub("", "") + strings.NewReplacer("hub1", "hub2", "wg1", "wg2", "10.20.0.0", "10.30.0.0").Replace(hub(", count: 2", ", port: 51819")), `UDP port 51820 is in use by another tunnel already; accepted: 2 ports from it on that no tunnel has`},
		{"ports of a change of PSK", hub(", count: 2", ", port: 65533, keychain: k"), `port 65533: the tunnel has ports up to 65536; accepted: up to 65532`},
		{"port of IPsec", hub(", count: 2", ", port: 4499"), `port 4500 is IPsec's; accepted: ports without 500 and 4500 in 2 from it on`},
		{"keepalive", hub("", ", keepalive: 1500ms"), `keepalive 1.5s; accepted: whole seconds, 0 to 65535s`},
		{"no key of a PSK", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", ", auth: certificate"), `ipsec has no ca; accepted: ca: the path of a PEM file|keychain k has no certificate; accepted: a keychain of source azure-key-vault with certificate`},
		{"weak", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", ", ike: [aes128-sha1-modp1024]"), `IKE proposal aes128-sha1-modp1024 is weak`},
		{"unknown profile", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", ", profile: azure"), `there is no profile "azure"; accepted: azure-virtual-wan, azure-vpn-gateway, azure-vpn-gateway-high-bandwidth, strict`},
		{"transport with an interface", ipsec("hub2", ", interface: x2", ", mode: transport"), `interface does not go with mode: transport, which has no interface; accepted: leave it out`},
		{"transport in user space", ipsec("hub2", ", dataplane: userspace", ", mode: transport"), `there is no transport mode in user space; accepted: tunnel; transport with the kernel's dataplane`},
		{"transport protects more", ipsec("hub2", ", protect: [10.9.0.0/16]", ", mode: transport"), `transport mode protects what goes to and comes from remote, and nothing else; accepted: leave it out, or [10.9.0.6/32]`},
		{"DSCP in WireGuard", hub(", dscp: copy", ""), `WireGuard does not copy the DSCP of what is in it; accepted: 0; copy with type: ipsec`},
		{"DSCP in user space", ipsec("hub2", ", interface: x2, dataplane: userspace, dscp: copy, protect: [10.30.0.0/16]", ""), `IPsec in user space does not copy the DSCP of what is in it; accepted: 0; copy with the kernel's dataplane`},
		{"two in user space", ipsec("hub2", ", interface: x2, dataplane: userspace, protect: [10.30.0.0/16]", "") + ipsec("hub3", ", interface: x3, dataplane: userspace, protect: [10.31.0.0/16]", ""), `IPsec in user space is taken by tunnel hub2: charon has one tun; accepted: one IPsec tunnel with dataplane: userspace; more with dataplane: kernel`},
		{"count in user space", ipsec("hub2", ", interface: x2, dataplane: userspace, count: 2, protect: [10.30.0.0/16]", ""), `count 2 with IPsec in user space: charon has one tun; accepted: count: 1, or dataplane: kernel`},
		{"interface lo", strings.Replace(hub("", ""), "wg1", "lo", 1), `interface lo is not a tunnel's; accepted: a name that no interface has`},
		{"device lo", strings.Replace(hub("", ""), "eth1", "lo", 1), `device lo leads to no other machine; accepted: the device that carries the tunnel's packets`},
		{"what is being made", strings.Replace(hub("", ""), "wg1", "linkseal.new", 1), `interface linkseal.new is not a tunnel's; accepted: a name that no interface has`},
		{"protect loopback", strings.Replace(hub("", ""), "10.20.0.0/16", "127.0.0.0/8", 1), `protected prefix 127.0.0.0/8 never leaves a link or a machine, and is not routed; accepted: networks behind remote`},
		{"protect link-local", strings.Replace(hub("", ""), "10.20.0.0/16", `"fe80::/64"`, 1), `protected prefix fe80::/64 never leaves a link or a machine`},
		{"protect groups", strings.Replace(hub("", ""), "10.20.0.0/16", `"ff00::/8"`, 1), `protected prefix ff00::/8 never leaves a link or a machine`},
		{"address is remote", hub(", addresses: [10.20.0.5/32]", ""), `address 10.20.0.5/32 is remote 10.20.0.5: with it the machine would talk to itself; accepted: an address of a network of its own, as 169.254.21.2/30|protected prefix 10.20.0.0/16 has the network of address 10.20.0.5/32`},
		{"address is a further remote", hub(", addresses: [10.8.0.5/32]", `, peers: [{public_key: "`+otherKey+`", remote: 10.8.0.5, allowed_ips: [10.9.0.0/16]}]`), `address 10.8.0.5/32 is remote 10.8.0.5`},
		{"address beside local", hub(", addresses: [10.0.0.9/24]", ""), `the network of address 10.0.0.9/24 has local 10.0.0.4 in it: what is beside local would go into the tunnel; accepted: an address of a network of its own, as 169.254.21.2/30, or 10.0.0.4/32`},
		{"probe of itself", hub(", addresses: [10.8.0.1/30], probe: {address: 10.8.0.1}", ""), `probe address 10.8.0.1 is the tunnel's own; accepted: an address of the other end that answers pings`},
		{"probe to local", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16], probe: {address: 10.0.0.4}", ""), `probe address 10.0.0.4 is local; accepted: an address of the other end`},
		{"a PSK for anybody", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", `, remote_id: "%any"`), `remote_id %any is that of anybody, whom the PSK would then admit, also in the place of another tunnel's remote; accepted: the remote's own identity, or none: its address; or auth: certificate`},
		{"a PSK for many", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", `, remote_id: "*.example"`), `remote_id *.example is that of anybody`},
		{"rekey", ipsec("hub2", ", interface: x2, protect: [10.30.0.0/16]", ", rekey: {child: 299s}"), `rekey.child 4m59s is too often; accepted: 5m0s or more`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("t.yaml", tunnelsOf(c.tunnels))
			refused(t, err, c.want)
		})
	}
	t.Run("a port's device and network", func(t *testing.T) {
		_, err := Parse("t.yaml", strings.Replace(tunnelsOf(hub("", ""))+port, "{k:", "{k2: {source: file, path: /k2}, k:", 1))
		refused(t, err, `device eth1 is that of port link1, on which nothing but MACsec may pass; accepted: macsec1, the port's MACsec interface; or secure: should on the port|protected prefix 10.20.0.0/16 has the network of address 10.20.3.1/24 of port link1 in it, or is in it; accepted: networks that are reached through this tunnel alone`)
	})
}

// refused wants these problems, joined by |, each the beginning of one, and at
// least a line and a column with each.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	var ps strict.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("%v; want %s", err, want)
	}
	for _, p := range ps {
		if p.Pos.Line == 0 || p.Pos.Column == 0 {
			t.Errorf("%v has no place", p)
		}
		text := p.What + "; accepted: " + p.Accepted
		if !slices.ContainsFunc(strings.Split(want, "|"), func(w string) bool { return strings.HasPrefix(text, w) }) {
			t.Errorf("also: %s", text)
		}
	}
	for _, w := range strings.Split(want, "|") {
		if !slices.ContainsFunc(ps, func(p *strict.Problem) bool { return strings.HasPrefix(p.What+"; accepted: "+p.Accepted, w) }) {
			t.Errorf("no %s\nin %v", w, ps)
		}
	}
}

type machineOf map[string]Device

func (m machineOf) Device(name string) (Device, bool, error) { d, ok := m[name]; return d, ok, nil }

func (machineOf) Group(string) (uint32, bool, error) { return 0, false, nil }

func TestCheckTunnels(t *testing.T) {
	ipsec := "  - {name: hub1, type: ipsec, device: eth1, interface: x1, local: 10.0.0.4, remote: 10.20.0.5, protect: [10.20.0.0/16], ipsec: {keychain: k}}\n"
	has := machineOf{"eth1": {1460, true}, "tun0": {1500, false}, "eth2": {1459, true}, "eth3": {127, true}, "eth4": {1339, true}}
	for _, c := range []struct {
		name, tunnels string
		user          bool
		lack, want    string
	}{
		{"fits", hub("", ""), false, "", ""},
		{"one too many", strings.Replace(hub(", mtu: 1400", ""), "eth1", "eth2", 1), false, "", ": mtu 1400 of tunnel hub1 needs an MTU of 1460 on device eth2, which has 1459; accepted: mtu up to 1399, or ip link set eth2 mtu 1460"},
		{"of its own", strings.Replace(hub(", mtu: 1401", ""), "eth1", "eth1", 1), false, "", "mtu 1401 of tunnel hub1 needs an MTU of 1461 on device eth1, which has 1460"},
		{"no device", strings.Replace(hub("", ""), "eth1", "eth9", 1), false, "", "there is no device eth9 on this machine; accepted: the name of a network interface (ip link lists them), or of a port's"},
		{"not Ethernet", strings.Replace(hub("", ""), "eth1", "tun0", 1), false, "", "device tun0 is not Ethernet, and what is protected cannot be kept off it; accepted: an Ethernet interface, or secure: should"},
		{"should need not be", strings.Replace(hub(", secure: should", ""), "eth1", "tun0", 1), false, "", ""},
		{"ESP", ipsec, false, "", ""},
		{"derived", strings.Replace(hub("", ""), "eth1", "eth2", 1), false, "", ""},
		{"derived, too little", strings.Replace(hub("", ""), "eth1", "eth3", 1), false, "", "device eth3 has an MTU of 127, which leaves tunnel hub1 67: at least 68 are wanted; accepted: ip link set eth3 mtu 128, or more"},
		{"derived, too little for IPv6", strings.Replace(hub(`, addresses: ["fd00::1/64"]`, ""), "eth1", "eth4", 1), false, "", "device eth4 has an MTU of 1339, which leaves tunnel hub1 1279: at least 1280 are wanted; accepted: ip link set eth4 mtu 1340, or more"},
		{"ESP in UDP", strings.Replace(ipsec, ", protect", ", mtu: 1400, protect", 1), true, "", "mtu 1400 of tunnel hub1 needs an MTU of"},
		{"lack", hub("", ""), false, "no WireGuard", "4:12: tunnel hub1: no WireGuard; accepted: another"},
	} {
		cfg, err := Parse("t.yaml", tunnelsOf(c.tunnels))
		if err != nil {
			t.Fatal(err)
		}
		got := cfg.CheckTunnels(has, func(Tunnel) bool { return c.user }, func(Tunnel) (string, string) { return c.lack, "another" })
		if text := got.Error(); (c.want == "") != (len(got) == 0) || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
	// A port's interface comes with the port.
	cfg, err := Parse("t.yaml", strings.Replace(tunnelsOf(strings.Replace(hub("", ""), "eth1", "macsec1", 1)), "{k:", "{k2: {source: file, path: /k2}, k:", 1)+
		"ports:\n  - {name: link1, device: eth1, interface: macsec1, mtu: 1500, keychain: k2}\n")
	if err != nil {
		t.Fatal(err)
	}
	none := func(Tunnel) (string, string) { return "", "" }
	if got := cfg.CheckTunnels(machineOf{}, func(Tunnel) bool { return false }, none); len(got) > 0 {
		t.Error(got)
	}
}
