package tunnels

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/tests/lab"
)

// overhead is what WireGuard over IPv4 adds to a packet: 20 of IP, 8 of UDP, 16
// before and 16 behind.
const overhead = 60

// Size has a host behind west, whose link takes more than the tunnel does: the
// MSS of its connections is clamped as they are forwarded, both ways, and west
// tells it of the tunnel's MTU. Nothing that the tunnel sends is longer than the
// underlay takes.
func (s Suite) Size(t *testing.T) {
	const mtu, mss = 1400, 1340
	p := s.pair(t, lab.Options{MTU: 1500}, lab.Tunnel{MTU: mtu, MSS: mss})
	host := behind(t, p.west)
	p.start(t)

	// 1400 are 1372 of ICMP echo; one more does not fit, and west says so.
	ping := func(size string) (string, error) {
		out, err := host.NS.Command("ping", "-n", "-c", "1", "-W", "10", "-M", "do", "-s", size, p.east.Site(0).String()).CombinedOutput()
		return string(out), err
	}
	if out, err := ping("1372"); err != nil {
		t.Errorf("a packet of the tunnel's MTU does not pass: %s", out)
	}
	if out, err := ping("1373"); err == nil || !strings.Contains(out, "mtu = 1400") && !strings.Contains(out, "mtu=1400") {
		t.Errorf("a packet that is longer than the tunnel's MTU: %v: %s", err, out)
	}
	// Of streams the wire hears what is segmented behind it, if at all.
	longest := p.wires[0].Longest()
	if s.Type == lab.WireGuard && longest > mtu+overhead {
		t.Errorf("the tunnel sends packets of %d octets; at most %d are wanted", longest, mtu+overhead)
	}

	var mu sync.Mutex
	clamped := map[bool][]uint16{} // by outgoing
	tap, err := lab.Listen(p.west, p.member(t, 0), func(f lab.Frame) {
		if m, ok := synMSS(f.Octets); ok {
			mu.Lock()
			defer mu.Unlock()
			clamped[f.Outgoing] = append(clamped[f.Outgoing], m)
		}
	})
	check(t, err)
	defer tap.Close()
	ctx, cancel := context.WithTimeout(t.Context(), p.Patience)
	defer cancel()
	check(t, lab.Stream(ctx, host, p.east, p.east.Site(0), times(s, 64<<20, 4<<20)))
	check(t, lab.Stream(ctx, p.east, host, hostAddress(p.west), times(s, 64<<20, 4<<20)))
	mu.Lock()
	for outgoing, all := range clamped {
		for _, m := range all {
			if m != mss {
				t.Errorf("a SYN in the tunnel (sent %v) has an MSS of %d, not %d", outgoing, m, mss)
			}
		}
	}
	if len(clamped[true]) < 2 || len(clamped[false]) < 2 {
		t.Errorf("SYNs in the tunnel: %v; two connections were made", clamped)
	}
	mu.Unlock()

	p.none(t, "streams")
	s.figure("TCP through a tunnel of MTU %d: MSS clamped to %d both ways, path MTU told; its longest packet has %d octets", mtu, mss, longest)
}

// Derived gives neither mtu nor mss, on an underlay that has no room for 1400: what
// is as long as the tunnel takes crosses the underlay in one piece.
func (s Suite) Derived(t *testing.T) {
	const underlay = 1450
	p := s.pair(t, lab.Options{MTU: underlay}, lab.Tunnel{Derived: true})
	p.start(t)
	name := p.member(t, 0)
	mtu, err := strconv.Atoi(strings.TrimSpace(after(t, ip(t, p.west, "link show "+name), "mtu ")))
	check(t, err)
	if mtu < underlay-100 || mtu > underlay-overhead {
		t.Errorf("%s has an MTU of %d on an underlay of %d", name, mtu, underlay)
	}
	for _, size := range []int{mtu, mtu - 1, mtu - 5} {
		command(t, p.west, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "10", "-M", "do", "-s", strconv.Itoa(size-28), "-I", p.west.Site(0).String(), p.east.Site(0).String())
	}
	if n := p.wires[0].Longest(); n > underlay {
		t.Errorf("the tunnel sends %d octets on an underlay of %d", n, underlay)
	}
	if n := p.wires[0].Count().Fragments; n > 0 {
		t.Errorf("%d fragments are on the underlay", n)
	}
	if rules := command(t, p.west, "nft", "list", "table", "inet", "linkseal"); !strings.Contains(rules, strconv.Itoa(mtu-50)) {
		t.Errorf("MSS is not clamped to %d \n%s", mtu-50, rules)
	}
	p.none(t, "packets of the tunnel's MTU")
	s.figure("on an underlay of %d octets the tunnel has an MTU of %d, its longest packet %d", underlay, mtu, p.wires[0].Longest())
}

// after is the word of text that follows a mark.
func after(t *testing.T, text, mark string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, mark)
	if !ok {
		t.Fatalf("no %q in %s", mark, text)
	}
	return strings.Fields(rest)[0]
}

// Path has a router on the underlay with a link that takes less than the
// appliances' devices do. It says so, or cuts what may be cut; what is too long
// for it arrives, and nothing of it in clear.
func (s Suite) Path(t *testing.T) {
	const narrow = 1300
	p := s.pair(t, lab.Options{MTU: 1500, Names: []string{"router"}}, lab.Tunnel{MTU: 1400, MSS: 1350})
	router := p.Appliances[2]
	for i, a := range p.both() {
		other := p.both()[1-i].Under.String()
		ip(t, a, "route add "+other+" via "+router.Under.String()+" dev "+lab.Device)
		ip(t, router, "route add "+other+" dev "+lab.Device+" mtu lock "+strconv.Itoa(narrow))
	}
	check(t, router.NS.Do(func() error {
		return errors.Join(lab.Sysctl("net/ipv4/conf/all/send_redirects", "0"), lab.Sysctl("net/ipv4/conf/"+lab.Device+"/send_redirects", "0"), lab.Sysctl("net/ipv4/ip_forward", "1"))
	}))
	p.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), p.Patience)
	defer cancel()
	check(t, lab.Stream(ctx, p.west, p.east, p.east.Site(0), times(s, 16<<20, 1<<20)))
	check(t, lab.Stream(ctx, p.east, p.west, p.west.Site(0), times(s, 16<<20, 1<<20)))
	// Datagrams have nobody who sends them again, smaller.
	p.eventually(t, "a datagram of the tunnel's MTU to arrive", func() bool {
		return p.west.NS.Command("ping", "-n", "-c", "1", "-W", "2", "-M", "dont", "-s", "1372", "-I", p.west.Site(0).String(), p.east.Site(0).String()).Run() == nil
	})
	said, cut := counter(t, router, "Icmp", "OutDestUnreachs"), counter(t, router, "Ip", "FragOKs")
	if said+cut == 0 {
		t.Error("the router had nothing to say: the path was never too narrow")
	}
	p.none(t, "a narrow path")
	s.figure("a path of %d octets: streams both ways arrive; the router said that %d packets were too big, and cut %d", narrow, said, cut)
}

// hostAddress is of the host behind an appliance, in its first site.
func hostAddress(a *lab.Appliance) netip.Addr { return a.Site(0).Next() }

// behind joins a host to the appliance's first site, and has it forward.
func behind(t *testing.T, a *lab.Appliance) *lab.Appliance {
	t.Helper()
	ns, err := netns.New("")
	check(t, err)
	t.Cleanup(func() { ns.Close() })
	host := &lab.Appliance{Name: "host", NS: ns}
	check(t, lab.Join(a, "site0", ns, "eth0"))
	ip(t, a, "link set site0 up")
	ip(t, a, "route add "+hostAddress(a).String()+" dev site0")
	ip(t, host, "link set lo up")
	ip(t, host, "addr add "+hostAddress(a).String()+"/32 dev eth0")
	ip(t, host, "link set eth0 up")
	ip(t, host, "route add "+a.Site(0).String()+" dev eth0")
	ip(t, host, "route add default via "+a.Site(0).String()+" dev eth0")
	check(t, a.NS.Do(func() error { return lab.Sysctl("net/ipv4/ip_forward", "1") }))
	return host
}

// synMSS is the MSS of a SYN over IPv4 without options; there is no Ethernet
// header.
func synMSS(o []byte) (uint16, bool) {
	const tcp, syn = 6, 2
	if len(o) < 40 || o[0] != 0x45 || o[9] != tcp || o[33]&syn == 0 {
		return 0, false
	}
	for options := o[40:min(len(o), 20+int(o[32]>>4)*4)]; len(options) >= 2; {
		switch kind, n := options[0], int(options[1]); {
		case kind == 1:
			options = options[1:]
		case kind == 2 && len(options) >= 4:
			return binary.BigEndian.Uint16(options[2:]), true
		case kind == 0 || n < 2 || n > len(options):
			return 0, false
		default:
			options = options[n:]
		}
	}
	return 0, false
}
