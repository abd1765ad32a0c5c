package appliance

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/tests/appliance/probe"
)

// The network on which a stranger asks: west's third card.
const strangerNetwork = "203.0.113."

// stranger is one on a cable.
func stranger(wire probe.Frames) *probe.Stranger {
	return &probe.Stranger{Wire: wire, MAC: net.HardwareAddr{0x52, 0x54, 0, 0, 0xff, 1}, Addr: netip.MustParseAddr(strangerNetwork + "2")}
}

// ports demands that nothing listens and nothing answers but what is configured: SSH,
// for a key was provisioned, and WireGuard, which is silent to strangers. Asked are the
// machine itself, a stranger on a network of its own, and the peer through the link
// and through the tunnel.
func (p *pair) ports() {
	for _, h := range p.hosts {
		// Else every stranger that asks for a name of no user makes it larger.
		h.run("test ! -e /var/log/btmp && test ! -e /var/log/wtmp")
		for line := range strings.Lines(h.run("ss -Hlntu")) {
			f := strings.Fields(line)
			if len(f) < 5 {
				p.t.Fatalf("%s: ss says %q", h.Name, line)
			}
			kind, local := f[0], f[4]
			port := local[strings.LastIndexByte(local, ':')+1:]
			loopback := strings.HasPrefix(local, "127.") || strings.HasPrefix(local, "[::1]")
			// The client's end of DHCP, bound to its device.
			client := kind == "udp" && strings.Contains(local, "%") && (port == "68" || port == "546")
			if !loopback && !client && kind+port != "tcp22" && kind+port != "udp51820" {
				p.t.Errorf("%s listens on %s %s", h.Name, kind, local)
			}
		}
	}
	ctx, cancel := within(p.t, 10*time.Minute)
	defer cancel()
	found, err := stranger(p.plug).Ask(ctx, netip.MustParseAddr(strangerNetwork+"1"), 10*time.Second)
	check(p.t, err)
	fmt.Printf("figure: of 65535 TCP and UDP ports a stranger has an answer of: open %v, refused %v, UDP %v\n", found.Open, found.Refused, found.UDP)
	if !slices.Equal(found.Open, []uint16{22}) || len(found.Refused)+len(found.UDP)+found.Unreachable > 0 {
		p.t.Errorf("a stranger found %+v; want TCP 22 open, and silence", *found)
	}

	scan := filepath.Join(p.image.trial, "scan")
	build := "CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o " + scan + " ./scan"
	check(p.t, program("sh", "-c", build))
	text, err := os.ReadFile(scan)
	check(p.t, err)
	east := p.hosts[1]
	east.feed(string(text), "cat >/var/tmp/scan && chmod 700 /var/tmp/scan")
	for _, address := range []string{linkAddress[0], tunnelAddress[0]} {
		var wrong []string
		lines := strings.Split(strings.TrimSpace(east.long(3*patience, "/var/tmp/scan "+address)), "\n")
		for _, line := range lines {
			if line != "tcp 22 open" && line != "done" {
				wrong = append(wrong, line)
			}
		}
		if lines[len(lines)-1] != "done" || len(wrong) > 0 {
			p.t.Errorf("east reaches at %s: %q", address, wrong)
		}
	}
	east.run("rm /var/tmp/scan")
}
