package wireguard

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// soaking runs what make soak runs.
func soaking() bool { return os.Getenv("LINKSEAL_SOAK") != "" }

// changed is the keychain in which the PSK of id two has started.
func changed() keychain.PSKSelection { return inside(psk("two", 'y'), psk("one", 'x')) }

// rotation is a pair of ours with traffic both ways under the PSK of id one.
func rotation(t *testing.T, k kind) (a, b *end, streams [2]*stream) {
	t.Helper()
	a, b = cable(t)
	for _, h := range []*end{a, b} {
		h.prepare(t, k, withPSK)
		h.open(t).SetPSKs(inside(psk("one", 'x')))
	}
	// Both have begun one, maybe: what is sent under the first of two sessions that
	// follow at once may come when there is a third.
	for _, h := range []*end{a, b} {
		await(t, h.name+" has a session that stays", 20*time.Second, func() bool {
			v := h.session.View()
			return v.Live() && time.Since(v.Members[0].Handshake) > time.Second
		})
	}
	streams = [2]*stream{startStream(t, a, b), startStream(t, b, a)}
	return a, b, streams
}

// tooBusy is a stall of the machine in which WireGuard loses packets and
// handshakes for want of time: what came of it says nothing.
const tooBusy = 500 * time.Millisecond

// nothingLost ends the streams. false: the machine was too busy to tell.
func nothingLost(t *testing.T, streams [2]*stream) bool {
	t.Helper()
	calm := true
	for i, s := range streams {
		sent, lost := s.end(t)
		t.Logf("stream %d: %d sent, %d lost, at most %v between two", i, sent, lost, s.stalled)
		switch {
		case lost > 0 && s.stalled > tooBusy:
			calm = false
		case lost > 0 || sent < uint64(time.Second/rate):
			t.Errorf("stream %d: %d of %d lost", i, lost, sent)
		}
	}
	return calm
}

// proof is how long a change may take to be proved once both ends have made it:
// the kernel begins a handshake when its session is 120 s old.
func proof(k kind) time.Duration {
	if k.userspace {
		return 60 * time.Second
	}
	return 200 * time.Second
}

// The PSK changes under traffic each way, the ends so far apart
// with it: nothing is lost.
func TestChange(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		apart := []int{0} // the others have virtual time
		switch {
		case soaking():
			apart = []int{0, 10, 45, 100}
		case !k.userspace:
			apart = nil // make soak's: each takes two minutes, until the kernel begins a handshake
		}
		for _, s := range apart {
			t.Run(fmt.Sprintf("%d seconds apart", s), func(t *testing.T) {
				t.Parallel()
				for range 3 {
					if changeApart(t, k, time.Duration(s)*time.Second) {
						return
					}
				}
				t.Error("three times the machine was too busy for a second and more")
			})
		}
	})
}

func changeApart(t *testing.T, k kind, apart time.Duration) bool {
	a, b, streams := rotation(t, k)
	a.session.SetPSKs(changed())
	time.Sleep(apart)
	b.session.SetPSKs(changed())
	a.carried(t, "two", proof(k))
	b.carried(t, "two", proof(k))
	if !nothingLost(t, streams) {
		return false
	}
	a.ping(t, 5)
	b.ping(t, 5)
	return true
}

// One PSK after the other: each is proved by a handshake that is newer than both
// ends' change.
func TestManyChanges(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		if !soaking() {
			return // TestChange has one, and TestManyChangesVirtual more
		}
		n := 50
		if !k.userspace {
			n = 10 // each takes two minutes
		}
		a, b, streams := rotation(t, k)
		for i := range n {
			sel := func() keychain.PSKSelection {
				return inside(psk(fmt.Sprint(i), byte('A'+i%50)), psk(fmt.Sprint(i-1), byte('A'+(i-1+50)%50)))
			}
			a.session.SetPSKs(sel())
			b.session.SetPSKs(sel())
			a.carried(t, fmt.Sprint(i), proof(k))
			b.carried(t, fmt.Sprint(i), proof(k))
		}
		nothingLost(t, streams)
	})
}

// A PSK is put in with no loss, and a session made after that is under it.
func TestChangeInPlace(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b, streams := rotation(t, k)
		for _, h := range []*end{a, b} {
			h.session.SetPSKs(changed())
		}
		flowing(t, streams)
		nothingLost(t, streams)
		a.drop(0)
		a.carried(t, "two", 20*time.Second)
		b.carried(t, "two", 20*time.Second)
		a.ping(t, 5)
	})
}

// drop ends the n-th peer's session, as a PSK does that may not carry any more.
func (h *end) drop(n int) {
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	h.session.members[0].links[n].drop(time.Now())
	h.session.step()
}

// A PSK that expires hard takes its session with it; one that only expires
// carries on, and that is told.
func TestExpires(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		a, b, streams := rotation(t, k)
		expired := func(hard bool) keychain.PSKSelection {
			s := inside(psk("one", 'x'))
			s.Preferred = nil
			s.All[0].State, s.All[0].PSK.ExpiresHard = keychain.Expired, hard
			return s
		}
		a.session.SetPSKs(expired(false))
		await(t, "a says that its PSK is outside its window", 10*time.Second, func() bool { return a.session.View().Problem != "" })
		if v := a.session.View(); !v.Live() || v.Members[0].KeyID != "one" {
			t.Errorf("%+v", v)
		}
		flowing(t, streams)
		nothingLost(t, streams)
		a.session.SetPSKs(expired(true))
		await(t, "a's session is gone", 10*time.Second, func() bool { return !a.session.View().Live() })
		if out, err := a.ns.Command("ping", "-n", "-c", "1", "-W", "1", b.inner.Addr().String()).CombinedOutput(); err == nil {
			t.Errorf("a ping is answered under a PSK that was cut:\n%s", out)
		}
		a.session.SetPSKs(inside(psk("one", 'x')))
		a.live(t)
		a.ping(t, 5)
	})
}

// The second device: one end calls, the other listens, and both hear of it, if
// they have the same PSK.
func TestSecond(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth)
	t.Parallel()
	a, b := cable(t)
	for _, c := range []struct {
		a, b byte
		want bool
	}{{'x', 'x', true}, {'x', 'y', false}} {
		var seconds []*second
		var links [][]*link
		for _, h := range []*end{b, a} { // who listens is there first
			l := newLink(configured{public: h.other.public, endpoint: addrPort(h.other.at), keychain: "k"}, true, h.public, time.Now())
			one := psk("one", c.a)
			order := rollover.Calling
			if h == b {
				one, order = psk("one", c.b), rollover.Listening
			}
			l.told = true
			l.orders = rollover.Orders{Second: order, SecondPSK: l.keys.add("one", one.Secret)}
			session := &Session{ns: h.ns, log: h.log, tunnel: config.Tunnel{Local: h.at}}
			s := &second{open: func() device { return session.aside(0) }, ahead: 1}
			pair, _, err := identity.Open(h.keyFile, identity.Sealers{})
			if err != nil {
				t.Fatal(err)
			}
			// A process that a test beside this one starts has the former socket for a
			// moment.
			await(t, "the second device is open", 10*time.Second, func() bool {
				err := s.configure(pair.Private, port, []*link{l})
				if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
					t.Fatal(err)
				}
				return err == nil
			})
			seconds, links = append(seconds, s), append(links, []*link{l})
		}
		heard := func() bool {
			n := 0
			for i, s := range seconds {
				if err := s.look(links[i], time.Now()); err != nil {
					t.Fatal(err)
				}
				if !links[i][0].second.mono.IsZero() {
					n++
				}
			}
			return n == 2
		}
		if c.want {
			await(t, "both hear of the handshake", 10*time.Second, heard)
		} else {
			await(t, "the answer is refused", 10*time.Second, func() bool { return seconds[1].dev.(*embedded).heard.refused.Load() > 0 })
			if heard() {
				t.Error("a handshake under two PSKs")
			}
		}
		for i, s := range seconds {
			links[i][0].orders.Second = rollover.Closed
			if err := s.configure(nil, port, links[i]); err != nil || s.dev != nil {
				t.Errorf("closed: %v, %v", s.dev, err)
			}
			links[i][0].zero()
		}
	}
}

func addrPort(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, port) }
