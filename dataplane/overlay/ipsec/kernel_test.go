package ipsec

import (
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/linux/xfrm"
)

// newKernelWire is newWire on a kernel with ESP.
func newKernelWire(t *testing.T, swapped bool) *wire {
	t.Helper()
	probetest.Need(t, probe.XFRM, probe.XFRMI)
	w := newWire(t, swapped)
	if w.userspace {
		t.Fatal("this kernel has ESP, and the tests that are to try it run in user space; run them in the guest")
	}
	return w
}

// soak asks for all of what is otherwise tried in part.
func soak() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

// hosts floods both ways between the hosts themselves.
func (w *wire) hosts(every time.Duration) [2]*flow {
	return [2]*flow{flood(w.t, w.ours, w.our, w.stock, w.their, every), flood(w.t, w.stock, w.their, w.ours, w.our, every)}
}

// Tunnel and transport mode, PSK and certificate, initiator and responder.
func TestKernel(t *testing.T) {
	ca := newAuthority(t, "root")
	ourCert, ourKey := ca.issue("us.example", time.Hour)
	theirCert, theirKey := ca.issue("them.example", time.Hour)
	for _, role := range []string{"initiator", "responder"} {
		t.Run(role, func(t *testing.T) {
			w := newKernelWire(t, role == "responder")
			p := w.peer()
			c := w.charon()
			for _, mode := range []string{config.ModeTunnel, config.ModeTransport} {
				for _, auth := range []string{config.AuthPSK, config.AuthCertificate} {
					if pair := (role == "initiator") == (mode == config.ModeTunnel) == (auth == config.AuthPSK); !pair && !soak() {
						continue // each two of the three are tried together
					}
					t.Run(mode+" "+auth, func(t *testing.T) {
						w.t, p.w.t = t, t
						cfg, stock := w.tunnel(), setup{secrets: []string{"one"}}
						if auth == config.AuthCertificate {
							cfg, stock = w.certified(ourCert, ourKey, ca.path), theirs(theirCert, theirKey, ca.path)
						}
						if cfg.IPsec.Mode = mode; mode == config.ModeTransport {
							cfg.IPsec.Profile, cfg.Interface, cfg.Protect = "strict", "", []netip.Prefix{netip.PrefixFrom(cfg.Remote, 32)}
							stock.mode, stock.child = "transport", "start_action = trap"
						}
						p.load(stock)
						s := w.open(c, cfg, psks([2]string{"k1", "one"}))
						if role == "responder" {
							w.loaded(c, auth == config.AuthCertificate)
							p.swanctl("--initiate", "--child", "t0", "--timeout", "10")
						}
						w.secured(s)
						var flows [2]*flow
						if mode == config.ModeTransport {
							flows = w.hosts(time.Millisecond)
						} else {
							flows = w.both(time.Millisecond, "ipsec-hub1", w.far)
						}
						waitFor(t, 60*time.Second, "each end has sent 300", func() bool { return flows[0].sent.Load() > 300 && flows[1].sent.Load() > 300 })
						lostNone(t, flows)
						waitFor(t, 10*time.Second, "they are counted", func() bool {
							m := s.View().Members[0]
							return m.RxPackets >= 300 && m.TxPackets >= 300
						})
						if v := s.View(); v.Problem != "" || (v.Members[0].KeyID == "k1") != (auth == config.AuthPSK) {
							t.Errorf("%+v", v)
						}
						if err := s.Remove(); err != nil {
							t.Error(err)
						}
						w.noSAs(t)
					})
				}
			}
			w.t, p.w.t = t, t
		})
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

// Keys are renewed for their volume, and nothing is lost.
func TestKernelVolume(t *testing.T) {
	w := newKernelWire(t, false)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	cfg := w.tunnel()
	s := w.open(c, cfg, psks([2]string{"k1", "one"}))
	w.secured(s)
	flows := w.both(time.Millisecond, "ipsec-hub1", w.far)
	shorten(t, s, c, map[string]string{"rekey_bytes": "200000", "life_bytes": "40000000", "rand_bytes": "0"})
	renew(t, c, s)
	had := s.View().Members[0].Rekeys
	want := uint64(3)
	if soak() {
		want = 50
	}
	waitFor(t, 300*time.Second, "rekeyings for volume", func() bool { return s.View().Members[0].Rekeys >= had+want })
	lostNone(t, flows)
}

// Two of ours with two members between the same addresses, whose PSK starts at
// each at its own time.
func TestKernelMembers(t *testing.T) {
	w := newKernelWire(t, false)
	w.xfrmi(w.ours, "ipsec-hub1-1", overlay.IfID("hub1", 1))
	w.run(w.stock, "ip", "link", "delete", "xfrm0")
	far := &wire{t: t, ours: w.stock, stock: w.ours, our: w.their, their: w.our}
	for n, name := range []string{"ipsec-hub1", "ipsec-hub1-1"} {
		w.xfrmi(w.stock, name, overlay.IfID("hub1", n))
	}
	var ends []*Session
	for _, end := range []*wire{w, far} {
		cfg := end.tunnel()
		cfg.Count, cfg.IPsec.Profile = 2, "strict"
		ends = append(ends, end.open(end.charon(), cfg, psks([2]string{"k1", "one"})))
	}
	live := func(key string) func() bool {
		return func() bool {
			for _, s := range ends {
				for _, m := range s.View().Members {
					if !m.Live || m.KeyID != key || len(m.SPIIn) != 1 {
						return false
					}
				}
			}
			return true
		}
	}
	waitFor(t, 60*time.Second, "all members are live", live("k1"))
	if m := ends[0].View().Members; slices.Equal(m[0].SPIIn, m[1].SPIIn) {
		t.Errorf("two members, one SA: %+v", m)
	}
	flows := w.both(time.Millisecond, "ipsec-hub1", "ipsec-hub1")
	next := psks([2]string{"k2", "two"}, [2]string{"k1", "one"})
	ends[0].SetPSKs(next)
	time.AfterFunc(3*time.Second, func() { ends[1].SetPSKs(next) })
	waitFor(t, 120*time.Second, "all members are under k2 alone", live("k2"))
	lostNone(t, flows)
}

// shorten gives charon the connection with some values of its CHILD_SA replaced.
func shorten(t *testing.T, s *Session, c *Charon, values map[string]string) {
	t.Helper()
	var section conn.Section
	var err error
	built := make(chan struct{})
	s.post(func() {
		section, err = conn.Build(s.input(s.members[0]))
		close(built)
	})
	<-built
	if err != nil {
		t.Fatal(err)
	}
	name := conn.Name(s.name, 0)
	child := section.Get(name, "children", name).(conn.Section)
	for i := range child {
		if v, ok := values[child[i].Key]; ok {
			child[i].Value = conn.Text(v)
			delete(values, child[i].Key)
		}
	}
	if len(values) > 0 {
		t.Fatalf("no such keys: %v", values)
	}
	if err := c.process().LoadConnection(section); err != nil {
		t.Fatal(err)
	}
}
