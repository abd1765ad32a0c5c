package appliance

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/appliance/qemu"
)

// pair is two appliances with a cable for the link and one for the tunnel.
type pair struct {
	t     *testing.T
	image *image
	hosts [2]*host
	sites [2]*site
	plug  *qemu.Plug // the far end of a third cable of the first
}

// pair makes one, provisioned by NoCloud; it has no power yet.
func (i *image) pair(t *testing.T, name string, make func(name string, n int, media ...qemu.Medium) *host) *pair {
	t.Helper()
	p := &pair{t: t, image: i, sites: sites(t, i.public)}
	linkA, linkB := cable(t, i.trial, name+"-link")
	underlayA, underlayB := cable(t, i.trial, name+"-underlay")
	own, far := cable(t, i.trial, name+"-stranger")
	cables := [2][]*qemu.End{{linkA, underlayA, own}, {linkB, underlayB}}
	var err error
	p.plug, err = far.Plug()
	check(t, err)
	t.Cleanup(func() { p.plug.Close() })
	for n := range p.hosts {
		p.hosts[n] = make(name+"-"+p.sites[n].name, n, i.cloud(t, p.sites[n]))
		p.hosts[n].Cables = cables[n]
	}
	return p
}

func (p *pair) secured() {
	p.t.Helper()
	for _, h := range p.hosts {
		h.secured()
	}
}

// ping sends n echoes from one end to the other end's address, and demands that
// none is lost.
func (p *pair) ping(from int, address string, n int, every time.Duration) {
	p.t.Helper()
	sent, received, text := p.pings(from, address, n, every)
	if sent != n || received != n {
		p.t.Fatalf("%s: of %d pings to %s %d were sent, %d answered:\n%s", p.hosts[from].Name, n, address, sent, received, text)
	}
}

var pinged = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

func (p *pair) pings(from int, address string, n int, every time.Duration) (sent, received int, text string) {
	ctx, cancel := within(p.t, patience+time.Duration(n)*every)
	defer cancel()
	// An answer may take an emulated machine long; it is no loss.
	text, err := p.hosts[from].Run(ctx, fmt.Sprintf("ping -n -q -W 20 -i %.3f -c %d %s", every.Seconds(), n, address))
	m := pinged.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, fmt.Sprintf("%s %v", text, err)
	}
	sent, _ = strconv.Atoi(m[1])
	received, _ = strconv.Atoi(m[2])
	return sent, received, text
}

// answered waits until the first ping is: neighbours are found, the tunnel has its
// handshake.
func (p *pair) answered(from int, address string) {
	p.t.Helper()
	p.hosts[from].await("an answer from "+address, patience, func(ctx context.Context) error {
		_, err := p.hosts[from].Run(ctx, "ping -n -q -W 5 -c 1 "+address)
		return err
	})
}

// Two images come up, secure a link and a tunnel, and change the link's key, and no
// hand is on the console.
func TestLink(t *testing.T) {
	i := theImage(t)
	p := i.pair(t, "link", func(name string, n int, media ...qemu.Medium) *host {
		if n == 0 && soaking() {
			_, bad := i.variant(t, "linkless", "3", map[string]string{"usr/lib/modprobe.d/linkless.conf": "install macsec /bin/false\n"})
			media = append(media, i.media(t, "link", bad))
		}
		return i.host(t, name, media...)
	})
	began := time.Now()
	for _, h := range p.hosts {
		h.on()
	}
	p.secured()
	fmt.Printf("figure: two images, from power on to link and tunnel secured at both ends: %.0f s (emulated)\n", time.Since(began).Seconds())
	for n := range p.hosts {
		p.answered(n, linkAddress[1-n])
		p.answered(n, tunnelAddress[1-n])
		p.ping(n, linkAddress[1-n], 20, 100*time.Millisecond)
		p.ping(n, tunnelAddress[1-n], 20, 100*time.Millisecond)
	}
	t.Run("phases", func(t *testing.T) { p.at(t).phases() })
	t.Run("secure boot", func(t *testing.T) { p.at(t).secureBoot() })
	t.Run("hardened", func(t *testing.T) { p.at(t).hardened() })
	t.Run("rotation", func(t *testing.T) { p.at(t).rotation() })
	t.Run("ports", func(t *testing.T) { p.at(t).ports() })
	t.Run("service", func(t *testing.T) { p.at(t).service() })
	t.Run("reboot", func(t *testing.T) { p.at(t).reboot() })
	t.Run("wire", func(t *testing.T) { p.at(t).wire() })
	t.Run("button", func(t *testing.T) { p.at(t).button() })
	if soaking() {
		t.Run("linkless", func(t *testing.T) { p.at(t).linkless() })
	}
}

// at is the pair in a subtest.
func (p *pair) at(t *testing.T) *pair {
	q := &pair{t: t, image: p.image, sites: p.sites, plug: p.plug}
	for n, h := range p.hosts {
		q.hosts[n] = h.in(t)
	}
	return q
}

// rotation changes the link's CAK under traffic: nothing is lost. The key is in
// files, so that west's new one has to be brought to east.
func (p *pair) rotation() {
	west, east := p.hosts[0], p.hosts[1]
	const path = "/etc/linkseal/keys/link1.yaml"
	before := west.run("cat " + path)
	const echoes = 400
	var wait sync.WaitGroup
	var rotated string
	wait.Go(func() { rotated = west.other(p.t).run("linkseal rotate link1") })
	wait.Go(func() {
		// It comes to the file at once; the traffic waits for the other end.
		carrier := west.other(p.t)
		defer carrier.Close()
		var now string
		carrier.await("a new key in "+path, patience, func(ctx context.Context) (err error) {
			if now, err = carrier.Run(ctx, "cat "+path); err == nil && now == before {
				err = fmt.Errorf("it is as it was")
			}
			return err
		})
		bearer := east.other(p.t)
		defer bearer.Close()
		bearer.put(path, now)
	})
	sent, received, text := p.pings(1, linkAddress[0], echoes, 100*time.Millisecond)
	wait.Wait()
	fmt.Printf("figure: a rotation of the link's CAK between two images: %d of %d pings lost\n", sent-received, sent)
	if sent != echoes || received != echoes {
		p.t.Errorf("%d of %d pings were answered:\n%s\nthe rotation said:\n%s", received, sent, text, rotated)
	}
	if p.t.Failed() {
		return
	}
	principal := func(h *host) (ckn string) {
		for _, c := range h.secured().Ports[0].Participants {
			if c.Principal {
				ckn = c.CKN
			}
		}
		return ckn
	}
	a, b := principal(west), principal(east)
	if a != b || a == "" || strings.Contains(before, a) {
		p.t.Errorf("after the rotation west encodes under %q, east under %q; before it the file was that of another", a, b)
	}
}

// other is the same machine by a connection of its own.
func (h *host) other(t *testing.T) *host {
	return &host{Machine: h.Machine, Shell: h.Shell.Again(), t: t, mark: h.mark}
}

// button switches the second off by its power button: whoever is in front of it has no
// other way to do so in order.
func (p *pair) button() {
	east := p.hosts[1]
	east.await("who hears the button", patience, func(ctx context.Context) error {
		_, err := east.Run(ctx, "systemctl is-active systemd-logind && grep -qs '^H:.*event' /proc/bus/input/devices && ls /dev/input/event*")
		return err
	})
	east.off()
	east.on()
	p.secured()
}

// reboot is one without a warning to the peer: the link comes back by itself.
func (p *pair) reboot() {
	west := p.hosts[0]
	boot := west.run("cat /proc/sys/kernel/random/boot_id")
	n := west.Resets()
	west.run("systemctl --no-block reboot")
	west.Close()
	ctx, cancel := within(p.t, patience)
	defer cancel()
	check(p.t, west.AwaitReset(ctx, n+1))
	if west.run("cat /proc/sys/kernel/random/boot_id") == boot {
		p.t.Fatal("it did not boot again")
	}
	p.secured()
	p.answered(0, linkAddress[1])
	p.answered(0, tunnelAddress[1])
	// Once it is provisioned, nothing is between the daemon and what it needs.
	if late := west.start("a later boot"); late > time.Second {
		p.t.Errorf("linkseal started %v after its device and the file systems were there, want 1 s at the most", late)
	}
}
