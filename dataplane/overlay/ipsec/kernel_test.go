package ipsec

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/conn"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// newKernelWire is newWireOver on a kernel with ESP.
func newKernelWire(t *testing.T, our, their string) *wire {
	t.Helper()
	probetest.Need(t, probe.XFRM, probe.XFRMI)
	w := newWireOver(t, our, their)
	if w.userspace {
		t.Fatal("this kernel has ESP, and the tests that are to try it run in user space; run them in the guest")
	}
	return w
}

// soak asks for all of what is otherwise tried in part.
func soak() bool { return os.Getenv("LINKSEAL_SOAK") == "1" }

// pace is how often a flow sends: in full where all is asked for.
func pace(full time.Duration) time.Duration {
	if soak() {
		return full
	}
	return 5 * time.Millisecond
}

// hosts floods both ways between the hosts themselves.
func (w *wire) hosts(every time.Duration) [2]*flow {
	return [2]*flow{flood(w.t, w.ours, w.our, w.stock, w.their, every), flood(w.t, w.stock, w.their, w.ours, w.our, every)}
}

// Two of ours with two members between the same addresses, whose PSK starts at
// each at its own time.
func TestKernelMembers(t *testing.T) {
	w := newKernelWire(t, lowAddr, highAddr)
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
	flows := w.both(pace(time.Millisecond), "ipsec-hub1", "ipsec-hub1")
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
