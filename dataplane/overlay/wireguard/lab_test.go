package wireguard

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestMain(m *testing.M) {
	// Tests wait for WireGuard's timers, not for processors.
	if !flag.Parsed() {
		flag.Parse()
	}
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		flag.Set("test.parallel", "12")
	}
	goleak.VerifyTestMain(m)
}

// kind is whose WireGuard a test is about.
type kind struct {
	name      string
	userspace bool
	needs     probe.Feature
}

var kinds = []kind{{"embedded", true, probe.TUN}, {"kernel", false, probe.WireGuard}}

// over runs a test over both.
func over(t *testing.T, test func(*testing.T, kind)) {
	t.Parallel()
	for _, k := range kinds {
		if k.userspace && probetest.InGuest() {
			continue // the host has run it, and has wireguard-go for it
		}
		t.Run(k.name, func(t *testing.T) {
			probetest.Need(t, k.needs, probe.NetNS, probe.Veth)
			t.Parallel()
			test(t, k)
		})
	}
}

const under = "under0"

// end is one: a namespace with the underlay in it.
type end struct {
	name      string
	ns        *netns.NS
	dir       string
	at, at6   netip.Addr // on the underlay
	inner     netip.Prefix
	public    identity.Public
	log       *slog.Logger
	keyFile   string
	other     *end
	six       bool
	device    string // of WireGuard
	tunnel    config.Tunnel
	place     overlay.Place
	session   *Session
	userspace bool
}

// cable makes two hosts with a cable between them, each with a key of its own.
func cable(t *testing.T) (a, b *end) {
	t.Helper()
	make := func(name string, n byte) *end {
		ns, err := netns.New("")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		h := &end{
			name: name, ns: ns, dir: t.TempDir(),
			at: netip.AddrFrom4([4]byte{198, 51, 100, n}), at6: netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n)),
			inner:  netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 99, 0, n}), 24),
			device: fmt.Sprintf("wg%d%s%d", os.Getpid()%100000, name, serial.Add(1)%1000),
		}
		h.keyFile = filepath.Join(h.dir, "wg.key")
		pair, _, err := identity.Open(h.keyFile, identity.Sealers{})
		if err != nil {
			t.Fatal(err)
		}
		h.public = pair.Public
		h.log = slog.New(slog.NewTextHandler(&lines{t, name, secrets(pair.Private.Bytes())}, &slog.HandlerOptions{Level: slog.LevelDebug}))
		pair.Private.Zero()
		return h
	}
	a, b = make("a", 1), make("b", 2)
	a.other, b.other = b, a
	if err := a.ns.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: under, MTU: 1600}, PeerName: under, PeerNamespace: netlink.NsFd(b.ns.Fd())})
	}); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*end{a, b} {
		h.do(t, func(nl *netlink.Handle) error {
			l, err := nl.LinkByName(under)
			if err != nil {
				return err
			}
			for _, p := range []netip.Prefix{netip.PrefixFrom(h.at, 24), netip.PrefixFrom(h.at6, 64)} {
				if err := nl.AddrAdd(l, address(p)); err != nil {
					return err
				}
			}
			return nl.LinkSetUp(l)
		})
	}
	// Neighbours find each other before anything is measured.
	a.run(t, "ping", "-n", "-q", "-c", "1", "-w", "10", b.at6.String())
	b.run(t, "ping", "-n", "-q", "-c", "1", "-w", "10", a.at6.String())
	return a, b
}

var serial atomic.Uint64

func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = 0x02 // IFA_F_NODAD: usable at once
	}
	return a
}

// lines are an end's log: LINKSEAL_TEST_LOG=1 prints it. No key is in it.
type lines struct {
	t       testing.TB
	name    string
	secrets map[string]string
}

func (l *lines) Write(b []byte) (int, error) {
	if os.Getenv("LINKSEAL_TEST_LOG") != "" {
		fmt.Fprintf(os.Stderr, "%s %s", l.name, b)
	}
	for what, s := range l.secrets {
		if bytes.Contains(b, []byte(s)) {
			l.t.Errorf("%s logs the %s", l.name, what)
		}
	}
	return len(b), nil
}

// secrets are all forms of the keys that tests here use, but for an end's own.
func secrets(private []byte) map[string]string {
	all := map[string]string{}
	add := func(what string, k []byte) {
		all[what] = string(k)
		all[what+" in hex"] = hex.EncodeToString(k)
		all[what+" in base64"] = base64.StdEncoding.EncodeToString(k)
		all[what+" in decimal"] = strings.Trim(fmt.Sprint(k), "[]")
	}
	add("private key", private)
	for _, c := range []byte("xyz") {
		add("PSK of "+string(c), bytes.Repeat([]byte{c}, identity.Size))
	}
	return all
}

func (h *end) do(t testing.TB, f func(*netlink.Handle) error) {
	t.Helper()
	if err := h.ns.Do(func() error {
		nl, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer nl.Close()
		return f(nl)
	}); err != nil {
		t.Fatalf("%s: %v", h.name, err)
	}
}

// underlay is the host's address there, of the family that the test is about.
func (h *end) underlay() netip.Addr {
	if h.six {
		return h.at6
	}
	return h.at
}

// run runs a command in the namespace.
func (h *end) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := h.ns.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s %s: %v\n%s", h.name, name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// dress puts the inner address on WireGuard's interface.
func (h *end) dress(t testing.TB, name string) (index int) {
	t.Helper()
	h.do(t, func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		index = l.Attrs().Index
		if err := nl.AddrAdd(l, address(h.inner)); err != nil {
			return err
		}
		// Room for the time that a busy machine takes to read.
		if err := nl.LinkSetTxQLen(l, 10000); err != nil {
			return err
		}
		if err := nl.LinkSetMTU(l, 1400); err != nil {
			return err
		}
		return nl.LinkSetUp(l)
	})
	return index
}

const port = 51820

// prepare makes what the reconciler makes, and the configuration.
func (h *end) prepare(t testing.TB, k kind, change func(*config.Tunnel)) {
	t.Helper()
	if k.userspace {
		h.run(t, "ip", "tuntap", "add", "dev", h.device, "mode", "tun", "vnet_hdr")
	} else {
		h.run(t, "ip", "link", "add", h.device, "type", "wireguard")
	}
	index := h.dress(t, h.device)
	h.userspace = k.userspace
	h.place = overlay.Place{Members: []overlay.Member{{N: 0, Interface: h.device, Index: index}}, Userspace: k.userspace}
	h.tunnel = config.Tunnel{
		Name: "t", Type: config.TypeWireGuard, Device: under, Interface: h.device,
		Local: h.underlay(), Remote: h.other.underlay(), Count: 1, Must: true, MTU: 1400,
		Protect: []netip.Prefix{h.inner.Masked()}, Addresses: []netip.Prefix{h.inner},
		WireGuard: &config.WireGuard{
			Port: port, PrivateKey: h.keyFile, PeerPublicKey: h.other.public.String(),
			AllowedIPs: []netip.Prefix{h.inner.Masked()}, Keepalive: 25 * time.Second,
		},
	}
	if change != nil {
		change(&h.tunnel)
	}
}

// open opens the session; the test's end closes it.
func (h *end) open(t testing.TB) *Session {
	t.Helper()
	s, err := Open(h.ns, h.tunnel, h.place, Options{Log: h.log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h.session = s
	return s
}

// psk is a PSK of 32 octets of c.
func psk(id string, c byte) keychain.PSK {
	return keychain.PSK{ID: id, Secret: secret.New([]byte(strings.Repeat(string(c), identity.Size)))}
}

// inside gives the keychain's choice of these PSKs, the preferred first.
func inside(psks ...keychain.PSK) keychain.PSKSelection {
	var s keychain.PSKSelection
	for i := range psks {
		s.All = append(s.All, keychain.PSKChoice{PSK: &psks[i], State: keychain.Active})
	}
	if len(psks) > 0 {
		s.Preferred = &psks[0]
	}
	return s
}

// await polls until ok; the time that it may take is the machine's, not the
// protocol's.
func await(t testing.TB, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// live waits until the session's first member is.
func (h *end) live(t testing.TB) {
	t.Helper()
	await(t, h.name+" is live", 20*time.Second, func() bool { return h.session.View().Live() })
}

// carried waits until the last handshake was under the PSK of that id.
func (h *end) carried(t testing.TB, id string, within time.Duration) {
	t.Helper()
	await(t, fmt.Sprintf("%s carries %q", h.name, id), within, func() bool { return h.session.View().Members[0].KeyID == id })
}

// ping sends n pings through the tunnel and wants all answered.
func (h *end) ping(t testing.TB, n int) {
	t.Helper()
	h.run(t, "ping", "-n", "-q", "-c", fmt.Sprint(n), "-i", "0.01", "-W", "5", "-w", "20", h.other.inner.Addr().String())
}
