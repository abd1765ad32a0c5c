package main

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe"
)

func tunnelOf(change func(*config.Tunnel)) config.Tunnel {
	t := config.Tunnel{Name: "hub1", Type: config.TypeWireGuard, Device: "eth1", Interface: "wg-hub1", Dataplane: config.Auto, Local: netip.MustParseAddr("10.0.0.4"),
		Remote: netip.MustParseAddr("10.20.0.5"), Count: 1, Protect: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}, WireGuard: &config.WireGuard{Port: 51820}}
	change(&t)
	return t
}

func ofIPsec(t *config.Tunnel) {
	t.Type, t.WireGuard, t.IPsec = config.TypeIPsec, nil, &config.IPsec{Mode: config.ModeTunnel}
}

func TestTunnelRequirements(t *testing.T) {
	none := func(*config.Tunnel) {}
	for _, c := range []struct {
		name   string
		tunnel config.Tunnel
		lacks  []probe.Feature
		want   string
	}{
		{"wireguard, all there", tunnelOf(none), nil, ""},
		{"wireguard, embedded", tunnelOf(none), []probe.Feature{probe.WireGuard, probe.XFRM, probe.Charon, probe.NFT, probe.Multipath, probe.BPF}, ""},
		{"wireguard, neither", tunnelOf(none), []probe.Feature{probe.WireGuard, probe.Tap}, "WireGuard or tap queues (for tunnel hub1)"},
		{"wireguard, kernel", tunnelOf(func(t *config.Tunnel) { t.Dataplane = config.Kernel }), []probe.Feature{probe.WireGuard}, "WireGuard (for tunnel hub1)"},
		{"wireguard, userspace", tunnelOf(func(t *config.Tunnel) { t.Dataplane = config.Userspace }), []probe.Feature{probe.Tap}, "tap queues (for dataplane userspace of tunnel hub1)"},
		{"no rules", tunnelOf(none), []probe.Feature{probe.Policy}, "policy routing (for routes of tunnel hub1)"},
		{"count", tunnelOf(func(t *config.Tunnel) { t.Count = 4 }), []probe.Feature{probe.Multipath}, "multipath routes (for count of tunnel hub1)"},
		{"mss", tunnelOf(func(t *config.Tunnel) { t.MSS = 1350 }), []probe.Feature{probe.NFT}, "nftables (for mss of tunnel hub1)"},
		{"probe", tunnelOf(func(t *config.Tunnel) { t.Probe = &config.Probe{} }), []probe.Feature{probe.CapNetRaw}, "CAP_NET_RAW (for probe of tunnel hub1)"},
		{"must", tunnelOf(func(t *config.Tunnel) { t.Must = true }), []probe.Feature{probe.TCX, probe.Clsact}, "tcx or clsact, cls_bpf (for secure: must of tunnel hub1)"},
		{"ipsec, all there", tunnelOf(ofIPsec), []probe.Feature{probe.WireGuard, probe.CharonESP}, ""},
		{"ipsec, no charon", tunnelOf(ofIPsec), []probe.Feature{probe.Charon}, "charon (for tunnel hub1)"},
		{"ipsec, in user space", tunnelOf(ofIPsec), []probe.Feature{probe.XFRM, probe.XFRMI}, ""},
		{"ipsec, in user space, no plugin", tunnelOf(ofIPsec), []probe.Feature{probe.XFRM, probe.CharonESP}, "charon kernel-libipsec (for dataplane userspace of tunnel hub1)"},
		{"ipsec, several", tunnelOf(func(t *config.Tunnel) { ofIPsec(t); t.Count = 2 }), []probe.Feature{probe.XFRMI}, "xfrm interface (for tunnel hub1)"},
		{"transport", tunnelOf(func(t *config.Tunnel) { ofIPsec(t); t.IPsec.Mode = config.ModeTransport }), []probe.Feature{probe.XFRM, probe.XFRMI, probe.Policy}, "xfrm ESP (for tunnel hub1)"},
	} {
		check := answers(c.lacks...)
		x := examine(check, requirements(&config.Config{Tunnels: []config.Tunnel{c.tunnel}}, reconcile.Capabilities(check)))
		if got := strings.Join(x.Missing, ", "); got != c.want {
			t.Errorf("%s: missing %q; want %q", c.name, got, c.want)
		}
	}
}

// fakeSettings are those of a machine that reaches the remote by the device.
func fakeSettings(by string, sysctls map[string]string) settings {
	return settings{
		sysctl: func(path string) (string, error) {
			v, ok := sysctls[path]
			if !ok {
				return "", fs.ErrNotExist
			}
			return v, nil
		},
		leaves: func(config.Tunnel) (string, error) {
			if by == "" {
				return "", fmt.Errorf("network is unreachable")
			}
			return by, nil
		},
	}
}

func TestTunnelSettings(t *testing.T) {
	six := func(t *config.Tunnel) { t.Protect = append(t.Protect, netip.MustParsePrefix("fd00:20::/32")) }
	sysctls := func(all, device, forward string) map[string]string {
		return map[string]string{"ipv4/conf/all/rp_filter": all, "ipv4/conf/eth1/rp_filter": device, "ipv4/ip_forward": forward, "ipv6/conf/all/forwarding": forward}
	}
	for _, c := range []struct {
		name    string
		by      string
		sysctls map[string]string
		missing string
		parts   []string // of the text
	}{
		{"loose", "eth2", sysctls("1", "2", "1"), "", []string{"ok       hub1 rp_filter           not strict on eth1\n", "ok       hub1 ip_forward          net.ipv4.ip_forward is 1\n", "ok       hub1 ipv6_forwarding     net.ipv6.conf.all.forwarding is 1\n"}},
		{"off", "eth2", sysctls("0", "0", "1"), "", []string{"not strict on eth1"}},
		{"strict, by the device", "eth1", sysctls("1", "0", "0"), "", []string{"strict on eth1, by which 10.20.0.5 is reached",
			"note     hub1 ip_forward          net.ipv4.ip_forward is 0: what other machines send is not forwarded into the tunnel; sysctl -w net.ipv4.ip_forward=1 if"}},
		{"strict, by another", "eth2", sysctls("0", "1", "1"), "rp_filter (for tunnel hub1)", []string{
			"missing  hub1 rp_filter           strict (net.ipv4.conf.eth1.rp_filter = 1), and 10.20.0.5 is reached by eth2: what it sends to eth1 is dropped; sysctl -w net.ipv4.conf.eth1.rp_filter=2, or a route to 10.20.0.5 by eth1 (required)"}},
		{"strict for all, by another", "eth2", sysctls("1", "0", "1"), "rp_filter (for tunnel hub1)", []string{"net.ipv4.conf.all.rp_filter = 1"}},
		{"no way", "", sysctls("1", "1", "1"), "", []string{"there is no way to 10.20.0.5 yet (network is unreachable)"}},
		{"no device", "eth1", map[string]string{"ipv4/conf/all/rp_filter": "1"}, "", []string{"eth1 is not there"}},
	} {
		all := tunnelFindings(&config.Config{Tunnels: []config.Tunnel{tunnelOf(six)}}, fakeSettings(c.by, c.sysctls), nil)
		var b strings.Builder
		all[0].lines(&b)
		for _, p := range c.parts {
			if !strings.Contains(b.String(), p) {
				t.Errorf("%s: no %q in\n%s", c.name, p, b.String())
			}
		}
		if got := strings.Join(all[0].missing(), ", "); got != c.missing {
			t.Errorf("%s: missing %q, want %q", c.name, got, c.missing)
		}
	}
	must := tunnelOf(func(t *config.Tunnel) { t.Must = true })
	for want, e := range map[string]*status.Enforcement{
		"tunnel   hub1                     eth1: ingress XDP native, egress tcx, guarded\n": {Ingress: "native", Egress: "tcx", Guard: true},
		"tunnel   hub1                     eth1 is not there, or cannot be looked at\n":     nil,
	} {
		var b strings.Builder
		tunnelFindings(&config.Config{Tunnels: []config.Tunnel{must}}, fakeSettings("eth1", nil), func(string) *status.Enforcement { return e })[0].lines(&b)
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestChooseTunnelAuto(t *testing.T) {
	for _, c := range []struct {
		lacks            []probe.Feature
		wireguard, ipsec string
	}{
		{nil, "kernel", "kernel"},
		{[]probe.Feature{probe.WireGuard, probe.XFRMI}, "userspace", "userspace"},
		{[]probe.Feature{probe.WireGuard, probe.Tap}, "", "kernel"},
		{[]probe.Feature{probe.Charon}, "kernel", ""},
	} {
		got := examine(answers(c.lacks...), nil).TunnelAuto
		if got.WireGuard.Takes != c.wireguard || got.IPsec.Takes != c.ipsec || got.WireGuard.Reason == "" || got.IPsec.Reason == "" {
			t.Errorf("without %v: %+v; want %q, %q", c.lacks, got, c.wireguard, c.ipsec)
		}
	}
}

// The verb tells of this machine's settings for the tunnels of a configuration.
func TestDoctorOfTunnels(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(l net.Interface) bool { return l.Flags&net.FlagLoopback == 0 })
	if i < 0 {
		t.Skip("this machine has no interface but lo")
	}
	path := filepath.Join(t.TempDir(), "linkseal.yaml")
	text := `version: 1
name: ce
tunnels:
  - {name: hub1, type: wireguard, device: "` + all[i].Name + `", interface: wg0, local: 10.0.0.4, remote: 10.20.0.5, secure: should, protect: [10.20.0.0/16],
     addresses: [169.254.21.2/30], wireguard: {private_key: /var/lib/linkseal/wg.key, peer_public_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="}}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	c := root()
	c.SetOut(&b)
	c.SetArgs([]string{"doctor", "--config", path})
	if err := c.Execute(); err != nil && !strings.Contains(err.Error(), "lacks what is required") {
		t.Fatal(err)
	}
	for _, want := range []string{" hub1 rp_filter ", " hub1 ip_forward ", "auto of WireGuard ", "auto of IPsec "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
