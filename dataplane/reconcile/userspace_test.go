package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
)

const noMACsec = "operation not supported"

// configured is what the last Configure said: SendSCI, and how often there was one.
func configured(s *fakeSession) (sendSCI bool, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if times = len(s.changes); times > 0 {
		sendSCI = s.changes[times-1].SendSCI
	}
	return sendSCI, times
}

func TestUserspace(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.can.NoMACsec = noMACsec
	run(t, m, portLine("a", "eth1", ", dataplane: userspace")+portLine("b", "eth2", ""), func(w *world) {
		w.want("sessions", []string{"a", "b"}, w.open())
		at := w.started()[0].place
		w.want("userspace", true, at.Userspace)
		w.want("sci", "0200000000010001", at.SCI.String())
		w.want("interface", w.machine.o.Links["meth1"].Index, at.Interface)
		if l := w.machine.o.Links["meth1"]; !l.Tap || l.MACsec != nil {
			w.t.Errorf("%+v", l)
		}
		a, b := w.port("a"), w.port("b")
		w.want("a", []string{"userspace", "configured"}, []string{a.Dataplane, a.DataplaneReason})
		w.want("b", []string{"userspace", "auto: the kernel has no MACsec (" + noMACsec + ")"}, []string{b.Dataplane, b.DataplaneReason})
		w.machine.taken()
		w.stop()
		w.logged("and with it the SecY in user space")
		w.want("steps at the end", []string(nil), w.machine.taken())
	})
}

// What of a configuration ends a session in user space, and what it is told.
func TestUserspaceReload(t *testing.T) {
	line := func(device, extra string) string { return portLine("a", device, ", dataplane: userspace"+extra) }
	for name, c := range map[string]struct {
		ports  string
		steps  []string
		starts int
		told   int // times of Configure to the first session
		why    string
	}{
		"nothing":       {line("eth1", ""), nil, 1, 0, ""},
		"send_sci":      {line("eth1", ", send_sci: false"), nil, 1, 1, ""},
		"replay window": {line("eth1", ", replay_window: 7"), nil, 1, 1, ""},
		"mtu":           {line("eth1", ", mtu: 1400"), []string{"set meth1 mtu 1400"}, 1, 1, ""},
		"cipher":        {line("eth1", ", cipher: gcm-aes-128"), nil, 2, 0, "its parameters changed"},
		"encrypt":       {line("eth1", ", encrypt: false"), nil, 2, 0, "its parameters changed"},
		"offset":        {line("eth1", ", confidentiality_offset: 30"), nil, 2, 0, "its parameters changed"},
		"mka":           {line("eth1", ", mka: {priority: 1}"), nil, 2, 0, "its parameters changed"},
		"device": {strings.Replace(line("eth2", ""), "meth2", "meth1", 1), []string{
			"filter eth2: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass", "set eth2 up",
			"set meth1 mac 02:00:00:00:00:02 (that of eth2)",
			"remove address 192.0.2.1/30 from meth1", "add address 192.0.2.2/30 to meth1",
			"enable IPv6 on eth1 (no must-secure port is on it)",
			"remove the filter from eth1 (no must-secure port is on it)"}, 2, 0, "its device is another one"},
		"to the kernel": {portLine("a", "eth1", ", dataplane: kernel"), []string{
			"delete meth1 (dataplane changes from userspace to kernel, which a live device cannot: made anew)",
			"create meth1 on eth1: gcm-aes-256, encrypt, no replay protection, sci 0200000000010001",
			"set meth1 mtu 1500", "add address 192.0.2.1/30 to meth1", "set meth1 up"}, 2, 0, "its device is made anew"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, newMachine("eth1", "eth2"), line("eth1", ""), func(w *world) {
				w.machine.taken()
				w.reload(c.ports)
				w.want("steps", c.steps, w.machine.taken())
				w.want("sessions", []string{"a"}, w.open())
				w.want("sessions so far", c.starts, len(w.started()))
				sendSCI, times := configured(w.started()[0])
				w.want("times that it was configured", c.told, times)
				if name == "send_sci" && sendSCI {
					w.t.Error("Configure said that the SCI is sent")
				}
				if c.why != "" {
					w.logged(c.why)
				}
				w.want("errors", []string(nil), w.r.Status().Reload)
			})
		})
	}
}

// A session in the kernel is told too; its device is the plan's to change.
func TestConfigureInKernel(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.machine.taken()
		w.reload(portLine("a", "eth1", ", send_sci: false"))
		if steps := w.machine.taken(); len(steps) != 1 || !strings.HasPrefix(steps[0], "change meth1: ") {
			w.t.Errorf("steps %q", steps)
		}
		sendSCI, times := configured(w.started()[0])
		w.want("told", []any{false, 1}, []any{sendSCI, times})
		time.Sleep(resync + time.Second)
		w.settle()
		_, times = configured(w.started()[0])
		w.want("times told, after another look", 1, times)
	})
}

// The parent's MAC address is in the SCI, so that the session begins anew; the
// tap stays.
func TestUserspaceParentAddress(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ", dataplane: userspace"), func(w *world) {
		before := w.started()[0].place
		w.machine.taken()
		w.machine.change(func() {
			l := w.machine.o.Links["eth1"]
			l.MAC[5] = 0x77
			w.machine.o.Links["eth1"] = l
		})
		w.settle()
		w.want("steps", []string{"set meth1 mac 02:00:00:00:00:77 (that of eth1)"}, w.machine.taken())
		w.want("sessions so far", 2, len(w.started()))
		after := w.started()[1].place
		w.want("interface", before.Interface, after.Interface)
		w.want("sci", "0200000000770001", after.SCI.String())
	})
}

// The session has a socket for each queue of the port: with others it begins
// anew.
func TestUserspaceParentQueues(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ", dataplane: userspace"), func(w *world) {
		w.machine.taken()
		for i, change := range []func(*plan.Link){func(l *plan.Link) { l.RxQueues = 2 }, func(l *plan.Link) { l.TxQueues = 2 }} {
			w.machine.change(func() {
				l := w.machine.o.Links["eth1"]
				change(&l)
				w.machine.o.Links["eth1"] = l
			})
			w.settle()
			w.want("sessions so far", i+2, len(w.started()))
		}
		w.want("steps", []string(nil), w.machine.taken())
		w.want("sessions", []string{"a"}, w.open())
	})
}

// A port that runs is where it was put, whatever the machine can by now; what
// the machine could not is chosen again.
func TestDataplaneStays(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.can.NoMACsec = noMACsec
	auto, kernel := portLine("a", "eth1", ""), portLine("b", "eth2", ", dataplane: kernel")
	run(t, m, auto+kernel, func(w *world) {
		b := w.port("b")
		w.want("sessions", []string{"a"}, w.open())
		w.want("why", "dataplane kernel: the kernel has no MACsec ("+noMACsec+")", b.UnsecuredReason)
		w.want("remedy", "dataplane: userspace or auto, or a kernel with CONFIG_MACSEC", b.Remedy)
		w.want("filter of b", 2, len(w.machine.o.Filters))
		w.machine.change(func() { m.can = plan.Capabilities{} })
		w.reload(auto + kernel)
		w.want("sessions with MACsec", []string{"a", "b"}, w.open())
		w.want("a", "userspace", w.port("a").Dataplane)
		w.want("b", "kernel", w.port("b").Dataplane)
		w.reload(strings.Replace(auto, "keychain", "dataplane: kernel, keychain", 1) + kernel)
		w.want("a, in the kernel as configured", "kernel", w.port("a").Dataplane)
		w.machine.change(func() { m.can.NoMACsec, m.can.NoTap = noMACsec, "no such file" })
		w.reload(auto + kernel)
		if got := strings.Join(w.r.Status().Reload, "\n"); !strings.HasPrefix(got, "port a: dataplane auto: the kernel has no MACsec") || strings.Contains(got, "port b") {
			w.t.Errorf("reload errors %q", got)
		}
		w.want("sessions after the refusal", []string{"b", "a"}, w.open())
	})
}

// A port that the machine cannot have goes on when it can: a module is loaded
// without an event.
func TestLackIsLookedAtAgain(t *testing.T) {
	m := newMachine("eth1")
	m.can = plan.Capabilities{NoMACsec: noMACsec, NoTap: "no such file"}
	run(t, m, portLine("a", "eth1", ""), func(w *world) {
		w.want("sessions", []string{}, w.open())
		w.want("state", status.Down, w.port("a").State)
		m.mu.Lock()
		m.can.NoTap = ""
		m.mu.Unlock()
		time.Sleep(reprobe + resync)
		synctest.Wait()
		w.want("sessions", []string{"a"}, w.open())
		w.want("dataplane", "userspace", w.port("a").Dataplane)
		w.logged("the port's problem is gone")
	})
}

// The session hears of what its frames depend on: the filter set anew, and the
// interface put into a bridge and taken out.
func TestUserspaceTold(t *testing.T) {
	m := newMachine("eth1")
	run(t, m, portLine("a", "eth1", ", dataplane: userspace"), func(w *world) {
		s := w.started()[0]
		told := func() []any {
			s.mu.Lock()
			defer s.mu.Unlock()
			return []any{s.filters, fmt.Sprint(s.promiscuous)}
		}
		w.want("told at first", []any{0, "[]"}, told())
		w.machine.change(func() { delete(w.machine.o.Filters, "eth1") })
		w.settle()
		w.want("told after the filter was taken away", []any{1, "[]"}, told())
		for _, on := range []bool{true, true, false} {
			w.machine.change(func() {
				l := w.machine.o.Links["meth1"]
				l.Promiscuous = on
				w.machine.o.Links["meth1"] = l
			})
			w.settle()
		}
		w.want("told of the bridge", []any{1, "[true false]"}, told())
		s.mu.Lock()
		s.starved = true
		s.mu.Unlock()
		w.machine.change(func() { delete(w.machine.o.Filters, "eth1") })
		w.settle()
		w.want("sessions so far, with a filter that does not feed the first", 2, len(w.started()))
		w.want("sessions", []string{"a"}, w.open())
	})
}

// What a stop suspends: where the SecY stays, and nowhere else. What ends for
// another reason is not suspended.
func TestSuspended(t *testing.T) {
	suspended := func(s *fakeSession) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.suspended
	}
	m := newMachine("eth1", "eth2", "eth3")
	a, b, c := portLine("a", "eth1", ", dataplane: userspace"), portLine("b", "eth2", ""), portLine("c", "eth3", "")
	run(t, m, a+b+c, func(w *world) {
		w.reload(a + b)
		w.stop()
		for _, s := range w.started() {
			if got := suspended(s); got != (s.port.Name == "b") {
				w.t.Errorf("port %s: suspended %v", s.port.Name, got)
			}
		}
		w.want("sessions that are left", []string{}, w.open())
		w.logged("as long as MKA is suspended there")
	})
}

// Where nobody knows what the kernel can, nothing is taken out of it; when that is
// known, what does not run is placed by it, and what runs stays.
func TestUntriedIsLookedAtAgain(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.can = plan.Capabilities{Untried: "linkseal's broker did not answer"}
	down := m.o.Links["eth2"]
	delete(m.o.Links, "eth2") // b cannot run yet
	run(t, m, portLine("a", "eth1", "")+portLine("b", "eth2", ""), func(w *world) {
		w.want("sessions", []string{"a"}, w.open())
		w.want("dataplanes", []string{"kernel", "kernel"}, []string{w.port("a").Dataplane, w.port("b").Dataplane})
		m.mu.Lock()
		m.can = plan.Capabilities{NoMACsec: noMACsec}
		m.mu.Unlock()
		time.Sleep(reprobe + resync)
		synctest.Wait()
		m.mu.Lock()
		m.o.Links["eth2"] = down
		m.mu.Unlock()
		time.Sleep(2 * resync)
		synctest.Wait()
		w.want("dataplanes", []string{"kernel", "userspace"}, []string{w.port("a").Dataplane, w.port("b").Dataplane})
		w.want("sessions", []string{"a", "b"}, w.open())
	})
}
