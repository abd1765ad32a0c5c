package main

import (
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/config"
)

// What the image's unit keeps the daemon from writing is refused before anything is
// provisioned, with its place in the file.
func TestUnwritable(t *testing.T) {
	const tunnel = `tunnels: [{name: hub1, type: wireguard, device: eth0, interface: wg0, protect: [10.20.0.0/16], local: 10.0.0.4, remote: 10.0.0.5, addresses: [10.1.0.1/30],
  wireguard: {peer_public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", private_key: PATH}}]
`
	for text, want := range map[string]string{
		"": "",
		"state: /var/lib/linkseal/ce\ncontrol: {socket: /run/linkseal/other.sock}\n": "",
		"state: /var/lib/linkseal2\n":                                   "linkseal.yaml:5:8: state /var/lib/linkseal2 is where the image's daemon cannot write; accepted: a path below /var/lib/linkseal",
		"state: /var/lib/linkseal/../elsewhere\n":                       "state /var/lib/elsewhere is",
		"control: {socket: /run/ls.sock}\n":                             "linkseal.yaml:5:19: socket in /run is where",
		strings.Replace(tunnel, "PATH", "/wg.key", 1):                   "private_key /wg.key is where the image's daemon cannot write; accepted: a path below /var/lib/linkseal or /etc/linkseal",
		strings.Replace(tunnel, "PATH", "/etc/linkseal/keys/wg.key", 1): "",
	} {
		c, err := config.Parse("linkseal.yaml", "version: 1\nname: ce\n"+onePort+text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		all := unwritable(c)
		if (len(all) == 0) != (want == "") || len(all) > 1 || want != "" && !strings.Contains(all[0].Error(), want) {
			t.Errorf("%q: %v; want %q", text, all, want)
		}
	}
}
