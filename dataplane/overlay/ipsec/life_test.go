package ipsec

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/linux/probe/probetest"
	"github.com/linkseal/linkseal/linux/xfrm"
)

// A linkseal that is killed leaves charon as it is, and the next goes on with it:
// nothing is lost, and no key is made anew.
func TestAdopted(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	s := w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	before := w.secured(s)
	flows := w.both(5*time.Millisecond, before.Members[0].Interface, w.far)
	for range 2 {
		pid := c.PID()
		s.Close()
		c.Close()
		var err error
		if c, err = NewCharon(c.o); err != nil {
			t.Fatal(err)
		}
		s = w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
		w.secured(s)
		waitFor(t, 20*time.Second, "its PSK is known", func() bool { return s.View().Members[0].KeyID == "k1" })
		after := s.View()
		if c.PID() != pid {
			t.Errorf("charon %d is %d now", pid, c.PID())
		}
		if b, a := before.Members[0], after.Members[0]; !slices.Equal(b.SPIIn, a.SPIIn) || !slices.Equal(b.SPIOut, a.SPIOut) {
			t.Errorf("SPIs %08x %08x, then %08x %08x", b.SPIIn, b.SPIOut, a.SPIIn, a.SPIOut)
		}
	}
	waitFor(t, 10*time.Second, "each end has sent a hundred", func() bool { return flows[0].sent.Load() > 100 && flows[1].sent.Load() > 100 })
	lostNone(t, flows)
	waitFor(t, 5*time.Second, "they are counted", func() bool {
		m := s.View().Members[0]
		return m.RxPackets > 100 && m.TxPackets > 100 && m.RxOctets > 20_000
	})
	c.Close()
}

// One that hangs when linkseal starts has the ports: it is killed, and another has
// the tunnel. Three attempts at it take a quarter of a minute.
func TestCharonHangs(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	s := w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	w.secured(s)
	pid := c.PID()
	s.Close()
	c.Close()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c, err := NewCharon(c.o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s = w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	waitFor(t, 90*time.Second, "another charon runs", func() bool { return c.PID() != 0 && c.PID() != pid })
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		// It is a child of this process, which has not been waited for.
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
			t.Errorf("charon %d is there still: %s", pid, b)
		}
	}
	waitFor(t, 60*time.Second, "the tunnel is secured again", func() bool { return s.View().State == overlay.Secured })
}

// A charon that is killed is started again and has the tunnel again; the peer
// drops what it had. In the kernel the SAs stay, and what is protected goes on
// under them without loss until there are new ones; then the old ones go. Nothing
// of it is in clear.
func TestCharonKilled(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}, more: "dpd_delay = 1s"})
	c := w.charon()
	s := w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	before := w.secured(s).Members[0]
	clear := w.clear()
	var flows [2]*flow
	if w.userspace {
		w.both(5*time.Millisecond, before.Interface, w.far)
	} else {
		flows = w.both(4*time.Millisecond, before.Interface, w.far)
	}
	pid := c.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if w.userspace {
		waitFor(t, 10*time.Second, "it is down", func() bool { return s.View().State == overlay.Down })
		if v := s.View(); v.Problem == "" || v.Remedy == "" {
			t.Errorf("down, and no problem: %+v", v)
		}
	}
	waitFor(t, 60*time.Second, "it has keys of the new charon", func() bool {
		v := s.View()
		if !w.userspace && v.State != overlay.Secured {
			t.Errorf("it is %s: %s", v.State, v.Problem)
		}
		m := v.Members[0]
		return v.State == overlay.Secured && len(m.SPIIn) == 1 && !slices.Equal(m.SPIIn, before.SPIIn)
	})
	if c.PID() == pid {
		t.Errorf("charon is %d yet", pid)
	}
	one := func() {
		t.Helper()
		waitFor(t, 30*time.Second, "the peer has one IKE_SA", func() bool {
			out, err := p.swanctl("--list-sas")
			return err == nil && strings.Count(out, "ESTABLISHED") == 1
		})
		if n := clear(); n > 0 {
			t.Errorf("%d packets of what is protected were in clear", n)
		}
	}
	if w.userspace {
		one() // it is told
		return
	}
	waitFor(t, 60*time.Second, "the old SAs are gone", func() bool {
		var sas []xfrm.SA
		err := w.ours.Do(func() (err error) { sas, err = xfrm.SAs(); return err })
		return err == nil && !slices.ContainsFunc(sas, func(sa xfrm.SA) bool { return sa.SPI == before.SPIIn[0] || sa.SPI == before.SPIOut[0] })
	})
	lostNone(t, flows)
	one() // its DPD finds out when nothing comes, and takes nothing from the new one
	flows = w.both(4*time.Millisecond, before.Interface, w.far)
	waitFor(t, 10*time.Second, "each end has sent a hundred", func() bool { return flows[0].sent.Load() > 100 && flows[1].sent.Load() > 100 })
	lostNone(t, flows)
}

// Keys are renewed by time at either end, and nothing is lost.
func TestRekey(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	cfg := w.tunnel()
	s := w.open(c, cfg, psks([2]string{"k1", "one"}))
	v := w.secured(s)
	flows := w.both(5*time.Millisecond, v.Members[0].Interface, w.far)
	// Ours, with the lifetimes alone made shorter.
	shorten(t, s, c, map[string]string{"rekey_time": "1s", "rand_time": "0s"})
	renew(t, c, s) // the new lifetimes are those of a new IKE_SA
	count := func() uint64 { return s.View().Members[0].Rekeys }
	had := count()
	waitFor(t, 60*time.Second, "two rekeyings of ours", func() bool { return count() >= had+2 })
	if probetest.InGuest() {
		lostNone(t, flows)
		return // theirs are as the host's, and TestKernelVolume has both
	}
	// Theirs.
	s.Configure(cfg)
	p.load(setup{secrets: []string{"one"}, child: "rekey_time = 1s\n        life_time = 20s\n        rand_time = 0s"})
	renew(t, c, s)
	had = count()
	waitFor(t, 20*time.Second, "two rekeyings of theirs", func() bool { return count() >= had+2 })
	lostNone(t, flows)
}

// renew makes the IKE_SA anew, with what both ends have loaded now.
func renew(t *testing.T, c *Charon, s *Session) {
	t.Helper()
	// By charon's numbers: its times are of whole seconds.
	ids := func() []uint32 {
		out := make(chan []uint32)
		s.post(func() {
			var all []uint32
			for _, sa := range s.members[0].sas {
				all = append(all, sa.ID)
			}
			out <- all
		})
		return <-out
	}
	before := ids()
	done := make(chan error)
	s.post(func() { done <- s.renew(s.members[0]) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	waitFor(t, 10*time.Second, "the IKE_SA is another", func() bool {
		now := ids()
		return len(now) == 1 && !slices.Contains(before, now[0])
	})
}

// A peer without PFS agrees to the first keys and not to the next: that is found
// out soon.
func TestProof(t *testing.T) {
	w := newWire(t)
	w.proof = 100 * time.Millisecond
	p := w.peer()
	p.load(setup{secrets: []string{"one"}, esp: "aes256gcm16-modp2048"})
	s := w.open(w.charon(), w.tunnel(), psks([2]string{"k1", "one"}))
	w.secured(s)
	waitFor(t, 10*time.Second, "a problem is named", func() bool { return s.View().Problem != "" })
	v := s.View()
	t.Log(v.Problem)
	if v.State != overlay.Secured || !strings.Contains(v.Problem, "when keys were renewed") || !strings.Contains(v.Problem, "PFS") {
		t.Errorf("%s: %q", v.State, v.Problem)
	}
}

// What is removed is gone, at the peer too, and charon with the last.
func TestRemoved(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	r := NewRunner(CharonOptions{Dir: shortDir(t), NS: w.ours, Log: logger(t)})
	cfg := w.tunnel()
	o, err := r.Open(cfg, place(cfg, w.userspace))
	if err != nil {
		t.Fatal(err)
	}
	s := o.(*opened).Session
	t.Cleanup(func() { r.Close(); Stray(r.o.Dir) })
	s.SetPSKs(psks([2]string{"k1", "one"}))
	w.secured(s)
	if _, err := r.Open(cfg, place(cfg, w.userspace)); err == nil {
		t.Error("a tunnel is open twice")
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if out, err := p.swanctl("--list-sas"); err != nil || strings.Contains(out, "ESTABLISHED") {
		t.Errorf("the peer has it yet, %v:\n%s", err, out)
	}
	cl := r.c.process()
	conns, err1 := cl.Connections()
	secrets, err2 := cl.Secrets()
	if len(conns)+len(secrets) > 0 || err1 != nil || err2 != nil {
		t.Errorf("charon has %q and %q yet, %v, %v", conns, secrets, err1, err2)
	}
	pid := r.PID()
	if err := o.Remove(); err != nil { // nothing is left to remove, of a charon that goes with it
		t.Fatal(err)
	}
	if r.PID() != 0 || syscall.Kill(pid, 0) == nil && !zombie(pid) {
		t.Error("charon runs yet")
	}
}

// The other IPsec tunnels of a charon that a linkseal left are taken away.
func TestPruned(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	p.load(setup{secrets: []string{"one"}})
	c := w.charon()
	s := w.open(c, w.tunnel(), psks([2]string{"k1", "one"}))
	w.secured(s)
	s.Close()
	if err := prune(c.o.Dir, []string{"hub1"}); err != nil {
		t.Fatal(err)
	}
	if have, err := c.process().Connections(); err != nil || len(have) != 1 {
		t.Fatalf("what is to stay is gone: %q, %v", have, err)
	}
	if err := prune(c.o.Dir, []string{"hub2"}); err != nil {
		t.Fatal(err)
	}
	conns, _ := c.process().Connections()
	secrets, _ := c.process().Secrets()
	sas, err := c.process().SAs()
	if len(conns)+len(secrets)+len(sas) > 0 || err != nil {
		t.Errorf("there are %q, %q, %v yet, %v", conns, secrets, sas, err)
	}
}

// A real charon takes every kind of connection.
func TestLoaded(t *testing.T) {
	w := newWire(t)
	c := w.charon()
	waitFor(t, 20*time.Second, "charon runs", func() bool { return c.process() != nil })
	ca := newAuthority(t, "root")
	cert, key := ca.issue("us.example", time.Hour)
	for name, edit := range map[string]func(*conn.Input){
		"azure":    func(*conn.Input) {},
		"strict":   func(in *conn.Input) { in.Tunnel.IPsec.Profile, in.Tunnel.CopyDSCP = "strict", true },
		"user":     func(in *conn.Input) { in.Tunnel.IPsec.Profile, in.Userspace = "", true },
		"member":   func(in *conn.Input) { in.Member, in.Tunnel.IPsec.LocalID = 3, "gw.example" },
		"greatest": func(in *conn.Input) { in.Tunnel.IPsec.Profile, in.Tunnel.IPsec.Rekey.Octets = "", 1<<62 },
		"both families": func(in *conn.Input) {
			in.Tunnel.Protect = append(in.Tunnel.Protect, netip.MustParsePrefix("fd00::/8"))
		},
		"weak": func(in *conn.Input) {
			in.Tunnel.IPsec.Profile, in.Tunnel.IPsec.AllowWeak = "", true
			in.Tunnel.IPsec.IKE, in.Tunnel.IPsec.ESP = []string{"aes256-sha256-modp2048", "aes128-sha1-modp1024"}, []string{"aes256-sha256"}
		},
		"certificate": func(in *conn.Input) {
			in.Tunnel = w.certified(cert, key, ca.path)
			pair, err := readCertificate(in.Tunnel.IPsec)
			if err != nil {
				t.Fatal(err)
			}
			in.Certificate, in.CA = pair.own, pair.cas
		},
	} {
		in := conn.Input{Tunnel: w.tunnel()}
		edit(&in)
		section, err := conn.Build(in)
		if err == nil {
			err = c.process().LoadConnection(section)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
