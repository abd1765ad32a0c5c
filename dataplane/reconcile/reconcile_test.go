package reconcile

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

func TestStart(t *testing.T) {
	run(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+portLine("b", "eth2", ", secure: should"), func(w *world) {
		w.want("sessions", []string{"a", "b"}, w.open())
		w.want("keys", []string{"11/32"}, w.started()[0].hasKeys())
		_, _, link := w.started()[0].told()
		w.want("carrier", []bool{true}, link)
		w.want("place", Place{Parent: 1, Interface: 3, SCI: w.machine.o.Links["meth1"].MACsec.SCI}, w.started()[0].place)
		w.want("notified", []string{"READY=1"}, w.told())
		a, b := w.port("a"), w.port("b")
		w.want("state of a", status.Unsecured, a.State)
		w.want("passing of a", status.PassingNone, a.Passing)
		w.want("passing of b", status.PassingClear, b.Passing)
		for _, p := range []status.Port{a, b} { // that of b counts
			w.want("filter of "+p.Name, map[string]uint64{"egress_dropped_packets": 7}, p.Filter)
			w.want("circuits of "+p.Name, []status.Circuit{{STag: 100, Direction: "egress", Traffic: status.Traffic{Packets: 3}}}, p.OuterCircuits)
		}
		w.want("sci of a", "0200000000010001", a.SCI)
		before := len(w.machine.taken())
		time.Sleep(resync + time.Second)
		w.settle()
		w.want("steps at resync", []string(nil), w.machine.taken())
		if before == 0 {
			w.t.Error("no step was applied at start")
		}
		w.stop()
		w.want("sessions after the end", []string{}, w.open())
		w.want("steps at the end", []string(nil), w.machine.taken())
		w.logged("the kernel goes on encrypting")
		w.logged("a filter that is there stays")
	})
}

func TestReload(t *testing.T) {
	both := portLine("a", "eth1", "") + portLine("b", "eth2", "")
	for name, c := range map[string]struct {
		ports string
		steps []string
		open  []string // ports whose sessions run then, in order of their start
	}{
		"nothing changes":  {both, nil, []string{"a", "b"}},
		"mtu":              {portLine("a", "eth1", ", mtu: 1400") + portLine("b", "eth2", ""), []string{"set meth1 mtu 1400"}, []string{"a", "b"}},
		"tags":             {portLine("a", "eth1", ", tags: [{name: voice, dscp: 46, set: {mark: 0x10}}]") + portLine("b", "eth2", ""), []string{"tag meth1: count circuits, tag classes voice"}, []string{"a", "b"}},
		"keychain":         {strings.Replace(both, "keychain: k1", "keychain: k2", 1), nil, []string{"a", "b"}},
		"mka restarts one": {portLine("a", "eth1", ", mka: {priority: 1}") + portLine("b", "eth2", ""), nil, []string{"b", "a"}},
		"port removed": {portLine("b", "eth2", ""), []string{"delete meth1 (port a is not in the configuration)",
			"enable IPv6 on eth1 (no must-secure port is on it)",
			"remove the filter from eth1 (no must-secure port is on it)"}, []string{"b"}},
		"cipher": {portLine("a", "eth1", ", cipher: gcm-aes-128") + portLine("b", "eth2", ""), []string{
			"delete meth1 (cipher changes from gcm-aes-256 to gcm-aes-128, which a live device cannot: made anew)",
			"create meth1 on eth1: gcm-aes-128, encrypt, no replay protection, sci 0200000000010001",
			"set meth1 mtu 1500", "add address 192.0.2.1/30 to meth1", "set meth1 up"}, []string{"b", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, newMachine("eth1", "eth2"), both, func(w *world) {
				w.machine.taken()
				w.reload(c.ports)
				w.want("steps", c.steps, w.machine.taken())
				w.want("sessions", c.open, w.open())
				if told := w.told(); len(told) != 3 || told[0] != "READY=1" || !strings.HasPrefix(told[1], "RELOADING=1") || told[2] != "READY=1" {
					w.t.Errorf("notified %q", told)
				}
				w.want("errors", []string(nil), w.r.Status().Reload)
				if name == "tags" {
					w.want("tagging", status.Tagging{TagsBy: "tcx", Classes: []status.Class{{Name: "voice", Direction: "egress", Traffic: status.Traffic{Packets: 1}}}}, w.port("a").Tagging)
					w.want("tagging of b", status.Tagging{}, w.port("b").Tagging)
				}
				if name == "keychain" {
					w.want("keys of a", []string{"22/32"}, w.started()[0].hasKeys())
				}
			})
		})
	}
}

func TestBadReloadKeepsWhatRuns(t *testing.T) {
	both := portLine("a", "eth1", "") + portLine("b", "eth2", "")
	for name, c := range map[string]struct {
		ports string
		keys  func() (*keychain.Keychain, error)
		want  []string
	}{
		"every error of the file": {portLine("a", "eth1", ", cipher: des, colour: red"), keys(32, 0x11), []string{"cipher", "colour"}},
		"short CAK":               {both, keys(16, 0x11), []string{"the CAK of CKN 11 has 16 octets, too few for gcm-aes-256 of port a", "of port b"}},
		"no key":                  {both, keys(32), []string{"holds no key"}},
		"not on this machine": {portLine("a", "eth1", ", cipher: gcm-aes-128, mtu: 9000") + portLine("b", "eth2", ""), keys(32, 0x11),
			[]string{"port a: mtu 9000 does not fit on eth1"}},
		"bad key beside a short CAK": {both, func() (*keychain.Keychain, error) {
			return nil, &file.Refused{Problems: strict.Problems{{What: "an odd CKN"}},
				Keys: []keychain.Outline{{CKN: keychain.CKN("\x22"), Octets: 16}}}
		}, []string{"an odd CKN", "the CAK of CKN 22 has 16 octets, too few for gcm-aes-256 of port a"}},
		"torn key file": {both, failing("torn"), []string{"torn"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, newMachine("eth1", "eth2"), both, func(w *world) {
				w.machine.taken()
				w.sources["k1"].set(c.keys, false)
				w.reload(c.ports)
				w.want("steps", []string(nil), w.machine.taken())
				w.want("sessions", []string{"a", "b"}, w.open())
				_, given, _ := w.started()[0].told()
				w.want("times that a got keys", 1, given)
				got := strings.Join(w.r.Status().Reload, "\n")
				for _, text := range c.want {
					if !strings.Contains(got, text) {
						w.t.Errorf("reload errors lack %q:\n%s", text, got)
					}
				}
				w.logged("the configuration is refused; what runs goes on")
				w.sources["k1"].set(keys(32, 0x11), false)
				w.reload(both)
				w.want("errors after a good reload", []string(nil), w.r.Status().Reload)
			})
		})
	}
}

func TestKeysChange(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		s, k1 := w.started()[0], w.sources["k1"]
		k1.set(keys(32, 0x11, 0x12), true)
		w.settle()
		w.want("both keys", []string{"12/32", "11/32"}, s.hasKeys())
		for name, bad := range map[string]func() (*keychain.Keychain, error){"torn": failing("torn"), "empty": keys(32), "short": keys(16, 0x13)} {
			k1.set(bad, true)
			w.settle()
			w.want("keys after "+name, []string{"12/32", "11/32"}, s.hasKeys())
			if w.port("a").KeysError == "" {
				w.t.Errorf("no keys_error after %s", name)
			}
		}
		_, before, _ := s.told()
		k1.set(keys(32, 0x11, 0x12), true)
		w.settle()
		w.want("keys_error after repair", "", w.port("a").KeysError)
		_, after, _ := s.told()
		w.want("times that it got keys", before, after)
		k1.set(keys(32, 0x12), true)
		w.settle()
		w.want("the new key alone", []string{"12/32"}, s.hasKeys())
		w.want("sessions", []string{"a"}, w.open())
	})
}

func TestKeyWindows(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		start := time.Now().Add(10 * time.Minute)
		w.sources["k1"].set(func() (*keychain.Keychain, error) {
			c, err := keys(32, 0x11, 0x12)()
			c.Keys[0].Expires = start.Add(time.Hour)
			c.Keys[1].NotBefore = start
			return c, err
		}, true)
		w.settle()
		s := w.started()[0]
		w.want("before", []string{"11/32"}, s.hasKeys())
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		w.want("at not_before", []string{"12/32", "11/32"}, s.hasKeys())
		time.Sleep(time.Hour)
		synctest.Wait()
		w.want("at expires", []string{"12/32"}, s.hasKeys())
	})
}

func TestDeviceComesAndGoes(t *testing.T) {
	run(t, newMachine(), portLine("a", "eth1", ""), func(w *world) {
		a := w.port("a")
		w.want("state", status.Down, a.State)
		w.want("reason", "device eth1 does not exist", a.UnsecuredReason)
		w.machine.change(func() { w.machine.plug("eth1") })
		w.settle()
		w.want("plugged", []string{"a"}, w.open())
		w.machine.change(func() { w.machine.unplug("eth1") })
		w.settle()
		w.want("unplugged", []string{}, w.open())
		w.want("state", status.Down, w.port("a").State)
		w.machine.change(func() { w.machine.plug("eth1") })
		w.settle()
		w.want("plugged again", []string{"a"}, w.open())
		w.want("sessions so far", 2, len(w.started()))
		w.machine.change(func() { delete(w.machine.o.Links, "meth1") })
		w.settle()
		w.want("its device deleted by somebody", []string{"a"}, w.open())
		w.want("sessions so far", 3, len(w.started()))
	})
}

func TestCarrier(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		carrier := func(up bool) {
			w.machine.change(func() {
				l := w.machine.o.Links["eth1"]
				l.Carrier = up
				w.machine.o.Links["eth1"] = l
			})
			w.settle()
		}
		carrier(false)
		w.want("state", status.Down, w.port("a").State)
		w.want("reason", "device eth1 has no carrier", w.port("a").UnsecuredReason)
		carrier(true)
		w.want("state", status.Unsecured, w.port("a").State)
		_, _, link := w.started()[0].told()
		w.want("told", []bool{true, false, true}, link)
		w.want("sessions", []string{"a"}, w.open())
	})
}

func TestDriftIsPutRight(t *testing.T) {
	run(t, newMachine("eth1"), portLine("a", "eth1", ""), func(w *world) {
		w.machine.taken()
		w.machine.change(func() { delete(w.machine.o.Filters, "eth1") })
		w.settle()
		w.want("steps", []string{"filter eth1: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass"}, w.machine.taken())
		w.want("sessions", []string{"a"}, w.open())
	})
}

// A port whose filter is refused stays closed, and is tried again with
// growing waits; the other port runs.
func TestRefusedStep(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.refuse[plan.SetFilter] = errors.New("XDP is taken")
	run(t, m, portLine("a", "eth1", "")+portLine("b", "eth2", ", secure: should"), func(w *world) {
		w.want("sessions", []string{"b"}, w.open())
		for _, s := range w.machine.taken() {
			if strings.Contains(s, "eth1") {
				w.t.Errorf("after the refused filter: %s", s)
			}
		}
		a := w.port("a")
		w.want("reason", "filter eth1: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass: XDP is taken", a.UnsecuredReason)
		looks := len(m.observed)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(m.observed) - looks; n < 120 || n > 260 {
			w.t.Errorf("%d looks in 10 minutes of failure, want about 240: two an attempt, one each %s", n, lastRetry)
		}
		if n := strings.Count(w.log.String(), "the port cannot be built"); n != 1 {
			w.t.Errorf("the problem was logged %d times", n)
		}
		w.machine.mu.Lock()
		delete(m.refuse, plan.SetFilter)
		w.machine.mu.Unlock()
		time.Sleep(lastRetry + time.Second)
		w.settle()
		w.want("sessions", []string{"b", "a"}, w.open())
		w.logged("the port's problem is gone")
	})
}

func TestRefusedSession(t *testing.T) {
	m := newMachine("eth1")
	run(t, m, portLine("a", "eth1", ""), func(w *world) {
		refuse, allow := errors.New("no socket"), error(nil)
		w.refusal(&refuse)
		w.machine.change(func() { w.machine.unplug("eth1") })
		w.settle()
		w.machine.change(func() { w.machine.plug("eth1") })
		w.settle()
		w.want("reason", "MKA does not start: no socket", w.port("a").UnsecuredReason)
		w.refusal(&allow)
		time.Sleep(firstRetry)
		w.settle()
		w.want("sessions", []string{"a"}, w.open())
	})
}

// TestUnreadableFilter: what cannot be seen of one port is that port's problem.
func TestUnreadableFilter(t *testing.T) {
	m := newMachine("eth1", "eth2")
	m.o.Unreadable = map[string]string{"eth1": "no permission"}
	run(t, m, portLine("a", "eth1", "")+portLine("b", "eth2", ""), func(w *world) {
		w.want("sessions", []string{"b"}, w.open())
		w.want("reason", "the filter of eth1 cannot be read: no permission", w.port("a").UnsecuredReason)
		w.machine.change(func() { m.o.Unreadable = nil })
		time.Sleep(firstRetry)
		w.settle()
		w.want("sessions", []string{"b", "a"}, w.open())
	})
}

func TestBlind(t *testing.T) {
	m := newMachine("eth1")
	m.blind = errors.New("netlink is gone")
	run(t, m, portLine("a", "eth1", ""), func(w *world) {
		w.want("reason", "the machine cannot be observed: netlink is gone", w.port("a").UnsecuredReason)
		w.machine.mu.Lock()
		m.blind = nil
		w.machine.mu.Unlock()
		time.Sleep(firstRetry)
		w.settle()
		w.want("sessions", []string{"a"}, w.open())
	})
}
