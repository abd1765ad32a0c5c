package ipsec

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// tunnel is a tunnel between both ends of a wire.
func (w *wire) tunnel() config.Tunnel {
	return config.Tunnel{
		Name: "hub1", Type: config.TypeIPsec, Device: "eth1", Interface: "ipsec-hub1", Dataplane: config.Auto,
		Local: netip.MustParseAddr(w.our), Remote: netip.MustParseAddr(w.their), Count: 1, Must: true,
		Protect: []netip.Prefix{netip.MustParsePrefix(peerInner + "/32")}, MTU: 1400,
		IPsec: &config.IPsec{Profile: "azure-vpn-gateway", Auth: config.AuthPSK, Keychain: "k", Mode: config.ModeTunnel, DPD: 10 * time.Second},
	}
}

func place(t config.Tunnel, userspace bool) overlay.Place {
	p := overlay.Place{Userspace: userspace}
	for n := range t.Count {
		p.Members = append(p.Members, overlay.Member{N: n, Interface: t.MemberInterface(n)})
	}
	return p
}

// psks is a keychain's selection: the first is preferred.
func psks(pairs ...[2]string) keychain.PSKSelection {
	var s keychain.PSKSelection
	for _, p := range pairs {
		s.All = append(s.All, keychain.PSKChoice{PSK: &keychain.PSK{ID: p[0], Secret: secret.New([]byte(p[1]))}, State: keychain.Active})
	}
	if len(s.All) > 0 {
		s.Preferred = s.All[0].PSK
	}
	return s
}

func logger(t *testing.T) *slog.Logger {
	level := slog.LevelInfo
	if os.Getenv("LINKSEAL_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}

// charon is ours, ended with the test.
func (w *wire) charon() *Charon {
	w.t.Helper()
	c, err := NewCharon(CharonOptions{Dir: shortDir(w.t), Userspace: w.userspace, NS: w.ours, Log: logger(w.t)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		c.Close()
		Stray(c.o.Dir)
	})
	return c
}

func (w *wire) open(c *Charon, t config.Tunnel, keys keychain.PSKSelection) *Session {
	w.t.Helper()
	s, err := Open(c, t, place(t, c.o.Userspace), Options{Log: logger(w.t), proof: w.proof})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	s.SetPSKs(keys)
	return s
}

func (w *wire) secured(s *Session) overlay.View {
	w.t.Helper()
	waitFor(w.t, 20*time.Second, "the tunnel is secured", func() bool { return s.View().State == overlay.Secured })
	return s.View()
}

// rotate changes the PSK of a tunnel that was to one, as often as told, with all
// that is to be true of each change.
func (w *wire) rotate(p *peer, c *Charon, s *Session, times int) {
	t := w.t
	t.Helper()
	octets := func(n int) string { return fmt.Sprintf("secret %d", n) }
	id := func(n int) string { return fmt.Sprintf("k%d", n) }
	for n := 1; n <= times; n++ {
		before := p.established()
		p.load(setup{secrets: []string{octets(n - 1), octets(n)}})
		s.SetPSKs(psks([2]string{id(n), octets(n)}, [2]string{id(n - 1), octets(n - 1)}))
		waitFor(t, 60*time.Second, "the tunnel is under "+id(n), func() bool { return s.View().Members[0].KeyID == id(n) })
		waitFor(t, 10*time.Second, id(n-1)+" is not loaded any more", func() bool {
			have, err := c.process().Secrets()
			return err == nil && len(have) == 1 && have[0] == w.secretID(c, id(n), octets(n))
		})
		// It was IKE_AUTH, and not new keys alone: both IKE_SAs were there, and the
		// peer has one now that is another.
		waitFor(t, 20*time.Second, "the peer has another IKE_SA, and one", func() bool {
			now := p.established()
			return len(now) == 1 && now[0] != before[0]
		})
		p.refused(octets(n-1), octets(n))
	}
}

var spis = regexp.MustCompile(`(?m)^t0: #\d+, ESTABLISHED, IKEv2, ([0-9a-f]+)_i\*? ([0-9a-f]+)_r`)

// established are the peer's IKE_SAs, by their SPIs.
func (p *peer) established() (all []string) {
	p.w.t.Helper()
	out, err := p.swanctl("--list-sas")
	if err != nil {
		p.w.t.Fatal(err, out)
	}
	for _, m := range spis.FindAllStringSubmatch(out, -1) {
		all = append(all, m[1]+" "+m[2])
	}
	return all
}

// refused has the peer come with an old PSK beside what is established, and
// demands that we refuse it; then it has the new one alone.
func (p *peer) refused(old, now string) {
	t := p.w.t
	t.Helper()
	// Another connection, of which no IKE_SA is there that could be used.
	p.load(setup{secrets: []string{old}, name: "old", more: "rekey_time = 77m"})
	out, err := p.swanctl("--initiate", "--child", "old", "--ike", "old", "--timeout", "10")
	if err == nil || !strings.Contains(out, "AUTHENTICATION_FAILED") {
		t.Errorf("the old PSK is not refused: %v\n%s", err, out)
	}
	p.load(setup{secrets: []string{now}})
}

// A PSK changes under traffic, and again, and nothing is lost; then the old one
// is refused.
func TestRotation(t *testing.T) {
	roles, times, every := []string{"initiator"}, 2, 5*time.Millisecond
	if soak() {
		roles, times, every = append(roles, "responder"), 50, 950*time.Microsecond
	}
	for _, role := range roles {
		t.Run(role, func(t *testing.T) {
			w := newWire(t, role == "responder")
			p := w.peer()
			p.load(setup{secrets: []string{"secret 0"}})
			c := w.charon()
			s := w.open(c, w.tunnel(), psks([2]string{"k0", "secret 0"}))
			if role == "responder" {
				w.loaded(c, false)
				p.swanctl("--initiate", "--child", "t0", "--timeout", "10")
			}
			v := w.secured(s)
			start := time.Now()
			flows := w.both(every, v.Members[0].Interface, w.far)
			w.rotate(p, c, s, times)
			took := time.Since(start)
			lostNone(t, flows)
			sent, lost := flows[0].end()
			back, more := flows[1].end()
			rate := float64(sent) / took.Seconds()
			fmt.Printf("figure: IPsec %s, %s: %d rotations of the PSK, each with IKE_AUTH under the new one and the old one refused, under %.0f datagrams a second each way: %d lost of %d\n",
				where(w.userspace), role, times, rate, len(lost)+len(more), sent+back)
			if soak() && rate < 1000 && w.userspace {
				t.Errorf("%.0f datagrams a second are less than 1000", rate)
			}
		})
	}
}

// loaded waits for charon to have a connection of ours, and its PSK unless it has
// certificates.
func (w *wire) loaded(c *Charon, certified bool) {
	w.t.Helper()
	waitFor(w.t, 20*time.Second, "charon has the connection", func() bool {
		p := c.process()
		if p == nil {
			return false
		}
		conns, err1 := p.Connections()
		secrets, err2 := p.Secrets()
		return err1 == nil && err2 == nil && len(conns) > 0 && (certified || len(secrets) > 0)
	})
}
