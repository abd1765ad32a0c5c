package nft

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func namespace(t *testing.T) (*netns.NS, *Handle) {
	t.Helper()
	probetest.Need(t, probe.NetNS)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	var h *Handle
	if err := ns.Do(func() (err error) { h, err = Open(); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return ns, h
}

func (h *Handle) want(t *testing.T, want map[string]int) {
	t.Helper()
	got, err := h.MSS()
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func nft(t *testing.T, ns *netns.NS, args ...string) string {
	t.Helper()
	out, err := ns.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestMSS(t *testing.T) {
	ns, h := namespace(t)
	h.want(t, map[string]int{})
	if err := h.RemoveMSS("wg0"); err != nil {
		t.Error(err)
	}
	for _, e := range []struct {
		name string
		mss  int
	}{{"wg0", 1350}, {"wg0", 1350}, {"ipsec-hub2-63ab", 1200}, {"wg0", 1300}} {
		if err := h.SetMSS(e.name, e.mss); err != nil {
			t.Fatal(err)
		}
	}
	h.want(t, map[string]int{"wg0": 1300, "ipsec-hub2-63ab": 1200})
	// nft reads it as it is meant.
	text := nft(t, ns, "list", "table", "inet", "linkseal")
	for _, want := range []string{
		`type ifname : inet_service`, `"wg0" : 1300`, `"ipsec-hub2-63ab" : 1200`,
		"type filter hook forward priority mangle; policy accept;", "type filter hook input priority mangle; policy accept;", "type filter hook output priority mangle; policy accept;",
		"tcp option maxseg size set iifname map @mss1", "tcp option maxseg size set oifname map @mss1", "tcp flags syn / syn,rst",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nft has no %q:\n%s", want, text)
		}
	}
	// What is torn is made anew.
	nft(t, ns, "flush", "chain", "inet", "linkseal", "forward")
	h.want(t, map[string]int{})
	if err := h.SetMSS("wg0", 1350); err != nil {
		t.Fatal(err)
	}
	h.want(t, map[string]int{"wg0": 1350})
	for range 2 {
		if err := h.RemoveMSS("wg0"); err != nil {
			t.Error(err)
		}
	}
	if text := nft(t, ns, "list", "tables"); strings.Contains(text, "linkseal") {
		t.Errorf("the table stays after the last: %s", text)
	}
}

func TestMSSRefuses(t *testing.T) {
	_, h := namespace(t)
	for name, mss := range map[string]int{"": 1350, "sixteen-octets-x": 1350, "a": 0, "b": 65536} {
		if err := h.SetMSS(name, mss); err == nil {
			t.Errorf("%q, %d is set", name, mss)
		}
	}
	h.want(t, map[string]int{})
}

// Both ends of a connection through the interface send no greater segments.
func TestClamps(t *testing.T) {
	probetest.Need(t, probe.Veth)
	near, h := namespace(t)
	far, _ := namespace(t)
	ip := func(ns *netns.NS, args string) {
		t.Helper()
		if out, err := ns.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	ip(near, "link add name a type veth peer name b netns "+far.Path())
	for _, one := range []struct {
		ns          *netns.NS
		name, addrs string
	}{{near, "a", "1"}, {far, "b", "2"}} {
		ip(one.ns, "addr add 192.0.2."+one.addrs+"/24 dev "+one.name)
		ip(one.ns, "addr add 2001:db8::"+one.addrs+"/64 dev "+one.name+" nodad")
		ip(one.ns, "link set dev "+one.name+" up")
	}
	if err := h.SetMSS("a", 1000); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"192.0.2.2:7", "[2001:db8::2]:7"} {
		for _, way := range []struct{ listen, dial *netns.NS }{{far, near}, {near, far}} {
			at := address
			if way.listen == near {
				at = strings.Replace(strings.Replace(at, "2.2:", "2.1:", 1), "::2]", "::1]", 1)
			}
			one, other := connect(t, way.listen, way.dial, at)
			// Timestamps take 12 octets of each segment.
			if one > 1000 || other > 1000 || one < 900 || other < 900 {
				t.Errorf("%s: segments of %d and %d octets", at, one, other)
			}
		}
	}
}

// connect returns both ends' MSS, as they send.
func connect(t *testing.T, listen, dial *netns.NS, at string) (server, client int) {
	t.Helper()
	var l net.Listener
	if err := listen.Do(func() (err error) { l, err = net.Listen("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var c net.Conn
	if err := dial.Do(func() (err error) { c, err = net.Dial("tcp", at); return err }); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return segment(t, s), segment(t, c)
}

func segment(t *testing.T, c net.Conn) (mss int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { mss, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return mss
}

// Many tunnels are set one by one.
func TestMSSMany(t *testing.T) {
	_, h := namespace(t)
	want := map[string]int{}
	for i := range 300 {
		name := fmt.Sprintf("wg%d", i)
		if err := h.SetMSS(name, 1000+i); err != nil {
			t.Fatal(err)
		}
		want[name] = 1000 + i
	}
	h.want(t, want)
}
