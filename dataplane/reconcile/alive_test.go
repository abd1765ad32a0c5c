package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// heartbeats counts those that the service manager was told since the last call.
func (w *world) heartbeats() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.notified)
	w.notified = slices.DeleteFunc(w.notified, func(s string) bool { return s == watchdog })
	return before - len(w.notified)
}

func everyTwelve(w *world) { w.alive = 12 * time.Second }

func TestAlive(t *testing.T) {
	runWith(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+portLine("b", "eth2", ""), everyTwelve, func(w *world) {
		minute := func() int {
			w.heartbeats()
			time.Sleep(time.Minute)
			w.settle()
			return w.heartbeats()
		}
		if n := minute(); n < 19 || n > 21 {
			w.t.Errorf("told %d times in a minute, want one in 3 s", n)
		}
		w.started()[1].hang(hung - time.Second) // busy
		if n := minute(); n < 19 {
			w.t.Errorf("told %d times while a KaY was busy", n)
		}
		w.started()[1].hang(hung)
		w.want("heartbeats while a KaY hangs", 0, minute())
		w.logged("MKA hangs")
		w.started()[1].hang(0)
		if n := minute(); n < 19 {
			w.t.Errorf("told %d times after it went on", n)
		}
		w.logged("MKA goes on")
	})
}

// A reconciler that hangs in a look at the machine tells nobody that it lives.
func TestHungReconciler(t *testing.T) {
	m := newMachine("eth1")
	runWith(t, m, portLine("a", "eth1", ""), everyTwelve, func(w *world) {
		hold := make(chan struct{})
		m.mu.Lock()
		m.hold = hold
		m.mu.Unlock()
		time.Sleep(2 * resync)
		w.heartbeats()
		time.Sleep(time.Minute)
		w.want("heartbeats while a look hangs", 0, w.heartbeats())
		m.mu.Lock()
		m.hold = nil
		m.mu.Unlock()
		close(hold)
		time.Sleep(time.Minute)
		w.settle()
		if n := w.heartbeats(); n < 18 {
			w.t.Errorf("told %d times after it went on", n)
		}
	})
}

// Many tunnels whose peers do not answer are removed by one reload: the service
// manager hears that the daemon lives meanwhile.
func TestAliveWhileTunnelsEnd(t *testing.T) {
	const count, each = 8, 5 * time.Second
	all := "tunnels:\n"
	for n := range count {
		all += fmt.Sprintf("  - {name: hub%[1]d, type: wireguard, device: eth2, interface: wg%[1]d, local: 10.0.0.4, remote: 10.20.0.%[1]d, protect: [10.%[2]d.0.0/16],\n     wireguard: {port: %[3]d, peer_public_key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\", keychain: k2}}\n", n+1, n+30, 51820+2*n)
	}
	runWith(t, newMachine("eth1", "eth2"), portLine("a", "eth1", "")+all, func(w *world) {
		everyTwelve(w)
		w.sources["k2"].load = psks(time.Now(), "a", "b")
	}, func(w *world) {
		w.want("sessions", count, len(w.opened()))
		for _, s := range w.opened() {
			s.Last(each)
		}
		w.reload(portLine("a", "eth1", ""))
		for range count/2 - 1 {
			w.heartbeats()
			time.Sleep(2 * each)
			synctest.Wait()
			if n := w.heartbeats(); n == 0 {
				w.t.Errorf("nothing was told for %v", 2*each)
			}
		}
		time.Sleep(2 * each)
		for i, s := range w.opened() {
			if !s.Told().Removed {
				w.t.Errorf("tunnel %d is not removed", i+1)
			}
		}
	})
}

// A look at many takes as long as it takes: that it goes on is told between its steps,
// before READY to have the start wait, and then as life. A step that hangs tells nothing.
func TestSlowLook(t *testing.T) {
	m := newMachine("eth1", "eth2", "eth3")
	slow := func(d time.Duration) {
		m.mu.Lock()
		m.slow = d
		m.mu.Unlock()
	}
	slow(5 * time.Second)
	runWith(t, m, portLine("a", "eth1", "")+portLine("b", "eth2", "")+portLine("c", "eth3", ""), everyTwelve, func(w *world) {
		told := func() (extended int, isReady bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, s := range w.notified {
				isReady = isReady || s == ready
				if s == "EXTEND_TIMEOUT_USEC=60000000" {
					extended++
				}
			}
			return extended, isReady
		}
		time.Sleep(31 * time.Second)
		if n, isReady := told(); n != 6 || isReady {
			w.t.Errorf("a start that takes 5 s a step asked %d times for more time in 31 s, and is ready: %v", n, isReady)
		}
		for range 100 {
			if _, isReady := told(); isReady {
				break
			}
			time.Sleep(5 * time.Second)
		}
		before, isReady := told()
		if !isReady {
			w.t.Fatal("the start does not end")
		}
		w.heartbeats()
		m.change(func() {
			for _, d := range []string{"eth1", "eth2", "eth3"} {
				m.unplug(d)
				m.plug(d)
			}
		})
		time.Sleep(32 * time.Second)
		if n := w.heartbeats(); n < 5 {
			w.t.Errorf("told %d times in half a minute of a look", n)
		}
		slow(time.Hour)
		time.Sleep(10 * time.Second)
		w.heartbeats()
		time.Sleep(10 * time.Minute)
		w.want("heartbeats while a step hangs", 0, w.heartbeats())
		if n, _ := told(); n != before {
			w.t.Errorf("asked %d times for more time after the start", n-before)
		}
		slow(0)
		time.Sleep(time.Hour)
		w.settle()
	})
}
