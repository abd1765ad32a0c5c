package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// A machine with TCP 22 open and UDP 53 that answers is found to have these, and all
// else refused; behind a filter it is silent but for what passes; and the silence of
// one that answers no echo is taken for nothing.
func TestScan(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	probetest.NeedTool(t, "ip", "nft")
	const (
		last = 3000
		busy = 5 * time.Second // how long a machine that does other things may stand still
	)
	near, far := namespace(t), namespace(t)
	run(t, near, "", "ip link add name near type veth peer name far netns "+far.Path())
	run(t, near, "", "ip addr add 10.0.0.1/24 dev near")
	run(t, far, "", "ip addr add 10.0.0.2/24 dev far")
	run(t, near, "", "ip link set near up")
	run(t, far, "", "ip link set far up")
	// ICMP's errors come at a rate of their own else: one a second.
	check(t, far.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/icmp_ratemask", []byte("0"), 0) }))
	var ssh net.Listener
	var dns net.PacketConn
	check(t, far.Do(func() (err error) { ssh, err = net.Listen("tcp", "10.0.0.2:22"); return err }))
	check(t, far.Do(func() (err error) { dns, err = net.ListenPacket("udp", "10.0.0.2:53"); return err }))
	t.Cleanup(func() { ssh.Close(); dns.Close() })
	go func() {
		p := make([]byte, 16)
		for {
			n, from, err := dns.ReadFrom(p)
			if err != nil {
				return
			}
			dns.WriteTo(p[:n], from)
		}
	}()
	from := func(quiet time.Duration) (lines []string, err error) {
		err = near.Do(func() error {
			lines, err = scan(net.IPv4(10, 0, 0, 2).To4(), last, quiet)
			return err
		})
		return lines, err
	}

	lines, err := from(busy)
	check(t, err)
	count := map[string]int{}
	for _, line := range lines {
		f := strings.Fields(line)
		count[f[0]+" "+f[2]]++
	}
	if count["tcp open"] != 1 || count["tcp refused"] != last-1 || count["udp answers"] != 1 || count["udp unreachable"] != last-1 || len(count) != 4 ||
		!slices.Contains(lines, "tcp 22 open") || !slices.Contains(lines, "udp 53 answers") {
		t.Errorf("%v", count)
	}

	run(t, far, `table ip t {
		chain input {
			type filter hook input priority filter; policy drop;
			icmp type echo-request accept
			tcp dport { 22, 80 } accept
			udp dport 3000 reject with icmp admin-prohibited
		}
	}`, "nft -f -")
	lines, err = from(busy)
	if want := []string{"tcp 22 open", "tcp 80 refused", "udp 3000 unreachable"}; err != nil || !slices.Equal(lines, want) {
		t.Errorf("%q, %v, want %q", lines, err, want)
	}

	run(t, far, "", "nft insert rule ip t input icmp type echo-request drop")
	if lines, err = from(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "10.0.0.2 answers no echo") {
		t.Errorf("%q, %v", lines, err)
	}
}

func namespace(t *testing.T) *netns.NS {
	t.Helper()
	ns, err := netns.New("")
	check(t, err)
	t.Cleanup(func() { ns.Close() })
	return ns
}

func run(t *testing.T, ns *netns.NS, input, line string) {
	t.Helper()
	f := strings.Fields(line)
	c := ns.Command(f[0], f[1:]...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
