package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func namespace(t *testing.T) *netns.NS {
	t.Helper()
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	run(t, ns, "ip", "link", "set", "lo", "up")
	return ns
}

func run(t *testing.T, ns *netns.NS, name string, args ...string) {
	t.Helper()
	if out, err := ns.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

func need(t *testing.T) {
	t.Helper()
	probetest.Need(t, probe.NetNS)
	probetest.NeedTool(t, "nft", "ip")
}

// nft takes every golden file, again and again, and the one that boots.
func TestRulesLoad(t *testing.T) {
	need(t)
	ns := namespace(t)
	load := func(rules string) error { return ns.Do(func() error { return Load(rules) }) }
	boots, err := os.ReadFile("../rootfs/etc/nftables.conf")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{string(boots), Rules(State{}), Rules(State{SSH: true})}
	for _, text := range configurations {
		all = append(all, Rules(State{Config: parse(t, text), SSH: true}))
	}
	addition := t.TempDir() + "/bgp.nft"
	if err := os.WriteFile(addition, []byte("add rule inet linkseal_image input tcp dport 179 accept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all = append(all, Rules(State{Additions: []string{addition}}))
	for range 2 {
		for _, rules := range all {
			if err := load(rules); err != nil {
				t.Errorf("%v\n%s", err, rules)
			}
		}
	}
	out, err := ns.Command("nft", "list", "table", "inet", Table).Output()
	if err != nil || strings.Count(string(out), "tcp dport 179 accept") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	// The filter is there whatever becomes of the files that names are looked up in.
	for _, rules := range all {
		c := exec.Command("unshare", "--mount", "--net", "sh", "-c", "for f in protocols services; do [ ! -e /etc/$f ] || mount --bind /dev/null /etc/$f || exit; done; ip link set lo up && exec nft -c -f -")
		c.Stdin = strings.NewReader(rules)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("without names: %v: %s", err, out)
		}
	}
	if err := load("table inet " + Table + " {"); err == nil {
		t.Error("nft took half a table")
	}
}

// gate is an appliance between a network outside and one inside, with an end of
// a tunnel.
type gate struct{ own, outside, inside, far *netns.NS }

func build(t *testing.T) gate {
	need(t)
	g := gate{namespace(t), namespace(t), namespace(t), namespace(t)}
	join := func(other *netns.NS, name, address, theirs, via string) {
		run(t, g.own, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", other.Path())
		run(t, g.own, "ip", "addr", "add", address, "dev", name)
		run(t, g.own, "ip", "link", "set", name, "up")
		run(t, other, "ip", "addr", "add", theirs, "dev", "eth0")
		run(t, other, "ip", "link", "set", "eth0", "up")
		run(t, other, "ip", "route", "add", "default", "via", via)
	}
	join(g.outside, "eth0", "10.0.0.4/24", "10.0.0.5/24", "10.0.0.4")
	join(g.inside, "lan0", "10.9.0.1/24", "10.9.0.2/24", "10.9.0.1")
	join(g.far, "wg-hub1", "169.254.21.2/30", "169.254.21.1/30", "169.254.21.2")
	if err := g.own.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }); err != nil {
		t.Fatal(err)
	}
	return g
}

// serve answers at each port: on TCP at every address, on UDP at host.
func serve(t *testing.T, ns *netns.NS, host string, ports ...int) {
	t.Helper()
	for _, p := range ports {
		err := ns.Do(func() error {
			l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", p))
			if err != nil {
				return err
			}
			u, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", host, p))
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close(); u.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
			go func() {
				b := make([]byte, 64)
				for {
					n, from, err := u.ReadFrom(b)
					if err != nil {
						return
					}
					_, _ = u.WriteTo(b[:n], from)
				}
			}()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// reaches tells whether an answer comes from there, within patience.
func reaches(t *testing.T, from *netns.NS, network, to string, patience time.Duration) bool {
	t.Helper()
	err := from.Do(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var d net.Dialer
		c, err := d.DialContext(ctx, network, to)
		if err != nil {
			return err
		}
		defer c.Close()
		if network == "tcp" {
			return nil
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 8))
		return err
	})
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		t.Errorf("%s %s: %v, and neither an answer nor silence", network, to, err)
	}
	return err == nil
}

func TestOnlyWhatIsConfigured(t *testing.T) {
	g := build(t)
	serve(t, g.own, "10.0.0.4", 22, 80, 9469, 51820, 51822, 51824, 500, 4500)
	serve(t, g.inside, "10.9.0.2", 80)
	serve(t, g.far, "169.254.21.1", 80)
	serve(t, g.outside, "10.0.0.5", 80)
	type way struct {
		from         *netns.NS
		network, to  string
		none, config bool // reached without a configuration, and with one
	}
	ways := []way{
		{g.outside, "tcp", "10.0.0.4:22", false, true},
		{g.outside, "tcp", "10.0.0.4:80", false, false},
		{g.outside, "tcp", "10.0.0.4:9469", false, true},
		{g.inside, "tcp", "10.9.0.1:9469", false, false}, // another address than metrics has
		{g.outside, "udp", "10.0.0.4:51820", false, true},
		{g.outside, "udp", "10.0.0.4:51822", false, true}, // a change of PSK takes it
		{g.outside, "udp", "10.0.0.4:51824", false, false},
		{g.inside, "udp", "10.0.0.4:51820", false, false}, // another device than the tunnel has
		{g.outside, "udp", "10.0.0.4:500", false, false},  // another remote than IPsec has
		{g.outside, "udp", "10.0.0.4:4500", false, false},
		{g.far, "tcp", "10.9.0.2:80", false, true}, // out of the tunnel
		{g.inside, "tcp", "169.254.21.1:80", false, true},
		{g.outside, "tcp", "10.9.0.2:80", false, false}, // past the tunnel
		{g.inside, "tcp", "10.0.0.5:80", false, false},
		{g.own, "tcp", "10.0.0.5:80", true, true}, // its own
		{g.own, "tcp", "10.9.0.2:80", true, true},
	}
	apply := func(s State) {
		t.Helper()
		if err := g.own.Do(func() error { return Apply(s, Load) }); err != nil {
			t.Fatal(err)
		}
	}
	try := func(what string, want func(way) bool) {
		t.Helper()
		for _, w := range ways {
			patience := 150 * time.Millisecond // silence is no slower than that
			if want(w) {
				patience = 5 * time.Second
			}
			if got := reaches(t, w.from, w.network, w.to, patience); got != want(w) {
				t.Errorf("%s: %s %s: reached %t, want %t", what, w.network, w.to, got, want(w))
			}
		}
	}
	// Without a filter all is open: what follows is the filter's doing.
	try("open", func(way) bool { return true })
	apply(State{})
	try("no configuration", func(w way) bool { return w.none })
	apply(State{Config: parse(t, configurations["tunnels"]), SSH: true})
	try("tunnels", func(w way) bool { return w.config })
	apply(State{SSH: true})
	try("bad configuration", func(w way) bool { return w.none || w.to == "10.0.0.4:22" })
}
