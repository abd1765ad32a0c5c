package ipsec

import (
	"net/netip"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/xfrm"
)

// ends are who has the first word, and over which IP.
var ends = []struct{ role, our, their string }{
	{"initiator", lowAddr, highAddr}, {"responder", highAddr, lowAddr}, {"initiator", lowSix, highSix}, {"responder", highSix, lowSix},
}

// few are those that the guest tries where it is not to try all: of role, mode
// and auth each two are tried together, but for transport mode over IPv6: a stock
// peer's trap catches its own neighbour advertisements, see README.
var few = map[[3]string]bool{
	{lowAddr, config.ModeTransport, config.AuthCertificate}: true, {lowSix, config.ModeTunnel, config.AuthPSK}: true,
	{highAddr, config.ModeTransport, config.AuthPSK}: true, {highSix, config.ModeTunnel, config.AuthCertificate}: true,
}

// Against a strongSwan that is set up with swanctl alone: tunnel mode, and
// transport mode where the kernel does ESP; PSK and certificate, initiator and
// responder, over IPv4 and IPv6.
func TestStock(t *testing.T) {
	ca := newAuthority(t, "root")
	ourCert, ourKey := ca.issue("us.example", time.Hour)
	theirCert, theirKey := ca.issue("them.example", time.Hour)
	for _, end := range ends {
		t.Run(end.role+" at "+end.our, func(t *testing.T) {
			w := newWireOver(t, end.our, end.their)
			p := w.peer()
			c := w.charon()
			for _, mode := range []string{config.ModeTunnel, config.ModeTransport} {
				for _, auth := range []string{config.AuthPSK, config.AuthCertificate} {
					if w.userspace && mode == config.ModeTransport || !w.userspace && !soak() && !few[[3]string{end.our, mode, auth}] {
						continue
					}
					t.Run(mode+" "+auth, func(t *testing.T) {
						w.t, p.w.t = t, t
						cfg, stock := w.tunnel(), setup{secrets: []string{"one"}}
						if auth == config.AuthCertificate {
							cfg, stock = w.certified(ourCert, ourKey, ca.path), theirs(theirCert, theirKey, ca.path)
						}
						if cfg.IPsec.Mode = mode; mode == config.ModeTransport {
							cfg.IPsec.Profile, cfg.Interface, cfg.Protect = "strict", "", []netip.Prefix{netip.PrefixFrom(cfg.Remote, cfg.Remote.BitLen())}
							stock.mode, stock.child = "transport", "start_action = trap"
						}
						p.load(stock)
						w.carries(p, w.open(c, cfg, psks([2]string{"k1", "one"})), c, end.role)
						if !w.userspace {
							w.noSAs(t)
						}
					})
				}
			}
			w.t, p.w.t = t, t
		})
	}
}

// carries demands that a tunnel that is open comes up and carries what it is
// given, and removes it.
func (w *wire) carries(p *peer, s *Session, c *Charon, role string) {
	t, ipsec := w.t, s.t.IPsec
	t.Helper()
	if role == "responder" {
		w.loaded(c, ipsec.Auth == config.AuthCertificate)
		p.swanctl("--initiate", "--child", "t0", "--timeout", "10")
	}
	m := w.secured(s).Members[0]
	var flows [2]*flow
	if ipsec.Mode == config.ModeTransport {
		flows = w.hosts(time.Millisecond)
	} else {
		flows = w.both(time.Millisecond, m.Interface, w.far)
	}
	waitFor(t, 60*time.Second, "each end has sent 300", func() bool { return flows[0].sent.Load() > 300 && flows[1].sent.Load() > 300 })
	lostNone(t, flows)
	waitFor(t, 10*time.Second, "they are counted", func() bool {
		c.glance()
		m := s.View().Members[0]
		return m.RxPackets >= 300 && m.TxPackets >= 300
	})
	if v := s.View(); v.Problem != "" || (v.Members[0].KeyID == "k1") != (ipsec.Auth == config.AuthPSK) {
		t.Errorf("%+v", v)
	}
	if got := s.View().Members[0].Remote.Addr().String(); got != w.their {
		t.Errorf("the remote is heard from %s, not %s", got, w.their)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
}

// noSAs: the kernel has none of ours.
func (w *wire) noSAs(t *testing.T) {
	t.Helper()
	var sas []xfrm.SA
	waitFor(t, 10*time.Second, "the kernel has no SA", func() bool {
		err := w.ours.Do(func() (err error) { sas, err = xfrm.SAs(); return err })
		return err == nil && len(sas) == 0
	})
}

// Keys are renewed for their volume, by either end, and nothing is lost. In user
// space nobody counts but we, and the volume is the least that may be configured.
func TestVolume(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	cfg := w.tunnel()
	every, octets, want := time.Millisecond, 200, uint64(2)
	if w.userspace {
		cfg.IPsec.Rekey.Octets = 1 << 20
		every, octets = 4*time.Millisecond, 1300
	}
	if soak() {
		every, want = time.Millisecond, 50
	}
	s := w.open(c, cfg, psks([2]string{"k1", "one"}))
	m := w.secured(s).Members[0]
	flows := w.both(every, m.Interface, w.far, octets)
	more := func(whose string) {
		t.Helper()
		had := s.View().Members[0].Rekeys
		waitFor(t, 300*time.Second, "rekeyings for volume, "+whose, func() bool { return s.View().Members[0].Rekeys >= had+want })
	}
	if w.userspace {
		more("ours")
		lostNone(t, flows)
		return
	}
	shorten(t, s, c, map[string]string{"rekey_bytes": "200000", "life_bytes": "40000000", "rand_bytes": "0"})
	renew(t, c, s)
	more("ours")
	s.Configure(cfg)
	p.load(setup{secrets: []string{"one"}, child: "rekey_bytes = 200000\n        life_bytes = 40000000\n        rand_bytes = 0"})
	renew(t, c, s)
	more("theirs")
	lostNone(t, flows)
}
