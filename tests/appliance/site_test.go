package appliance

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/tests/appliance/qemu"
	"github.com/linkseal/linkseal/tests/appliance/seed"
)

// site is what one end of the circuit is provisioned with.
type site struct {
	name   string
	files  seed.Files // by path on the appliance
	public string     // authorized_keys; empty: none
}

// The addresses of the two ends.
var (
	linkAddress     = [2]string{"192.0.2.1", "192.0.2.2"}
	tunnelAddress   = [2]string{"169.254.21.1", "169.254.21.2"}
	underlayAddress = [2]string{"198.51.100.1", "198.51.100.2"}
)

// sites makes the two ends of a MACsec link and of a WireGuard tunnel beside it.
func sites(t *testing.T, public string) [2]*site {
	t.Helper()
	keychain := fmt.Sprintf("keys:\n  - ckn: %s\n    cak: %s\n", octets(16), octets(32))
	psks := fmt.Sprintf("keys:\n  - id: first\n    psk: %s\n", octets(32))
	var keys [2]wgtypes.Key
	for n := range keys {
		var err error
		keys[n], err = wgtypes.GeneratePrivateKey()
		check(t, err)
	}
	var both [2]*site
	for n := range both {
		both[n] = &site{name: []string{"west", "east"}[n], public: public, files: seed.Files{
			"/etc/linkseal/linkseal.yaml":      siteConfig(n, keys[1-n].PublicKey().String()),
			"/etc/linkseal/keys/link1.yaml":    keychain,
			"/etc/linkseal/keys/hub1-psk.yaml": psks,
			"/etc/linkseal/wg.key":             keys[n].String() + "\n",
			"/etc/systemd/network/20-underlay.network": fmt.Sprintf(
				"[Match]\nName=%s\n[Network]\nAddress=%s/30\nLinkLocalAddressing=no\n[Link]\nRequiredForOnline=no\n", qemu.UnderlayDevice, underlayAddress[n]),
		}}
	}
	both[0].files["/etc/systemd/network/20-stranger.network"] = fmt.Sprintf(
		"[Match]\nName=%s\n[Network]\nAddress=%s1/24\nLinkLocalAddressing=no\n[Link]\nRequiredForOnline=no\n", qemu.StrangerDevice, strangerNetwork)
	return both
}

func siteConfig(n int, peer string) string {
	return fmt.Sprintf(`version: 1
name: %s
keychains:
  link1: {source: file, path: /etc/linkseal/keys/link1.yaml}
  hub1-psk: {source: file, path: /etc/linkseal/keys/hub1-psk.yaml}
ports:
  - name: link1
    device: %s
    interface: macsec1
    dataplane: kernel
    secure: must
    cipher: gcm-aes-xpn-256
    addresses: [%s/30]
    keychain: link1
tunnels:
  - name: hub1
    type: wireguard
    device: %s
    interface: wg-hub1
    dataplane: kernel
    local: %s
    remote: %s
    secure: must
    protect: [10.%d.0.0/16]
    addresses: [%s/30]
    wireguard: {port: 51820, private_key: /etc/linkseal/wg.key, peer_public_key: %q, keychain: hub1-psk, keepalive: 25s}
`, []string{"west", "east"}[n], qemu.CircuitDevice, linkAddress[n], qemu.UnderlayDevice, underlayAddress[n], underlayAddress[1-n], 20+n, tunnelAddress[n], peer)
}

func octets(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// userData is the site as cloud-init's.
func (s *site) userData() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#cloud-config\nhostname: %s\n", s.name)
	if s.public != "" {
		fmt.Fprintf(&b, "ssh_authorized_keys:\n  - %s\n", s.public)
	}
	b.WriteString("write_files:\n")
	for path, text := range s.files {
		fmt.Fprintf(&b, "  - path: %s\n    permissions: '0600'\n    content: |\n", path)
		for line := range strings.Lines(text) {
			b.WriteString("      " + line)
		}
	}
	return b.String()
}

// cloud makes the NoCloud medium of the site.
func (i *image) cloud(t *testing.T, s *site) qemu.Medium {
	t.Helper()
	path := filepath.Join(i.trial, s.name+"-cidata.iso")
	check(t, seed.CD(path, "CIDATA", seed.Files{"user-data": s.userData(), "meta-data": "instance-id: " + s.name + "\n"}))
	return qemu.Medium{Path: path}
}

// stick makes the site's medium labelled LINKSEAL.
func (i *image) stick(t *testing.T, s *site) string {
	t.Helper()
	files := seed.Files{}
	for path, text := range s.files {
		path = strings.TrimPrefix(path, "/etc/linkseal/")
		files[strings.Replace(path, "/etc/systemd/network/", "network/", 1)] = text
	}
	if s.public != "" {
		files["authorized_keys"] = s.public + "\n"
	}
	path := filepath.Join(i.trial, s.name+"-stick.img")
	check(t, seed.Stick(path, "LINKSEAL", files))
	return path
}

// Without an image too: what the tests provision is a configuration that passes.
func TestSites(t *testing.T) {
	for _, s := range sites(t, "ssh-ed25519 AAAA test") {
		if _, err := config.Parse("linkseal.yaml", s.files["/etc/linkseal/linkseal.yaml"]); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}
