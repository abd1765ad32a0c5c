package wireguard

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/wireguard/rollover"
)

// demands gives the end a keychain, and PSK one in it.
func (h *desktop) demands() {
	h.mu.Lock()
	c := h.tunnel
	h.mu.Unlock()
	w := *c.WireGuard
	w.Keychain = "psks"
	c.WireGuard = &w
	h.Configure(c)
	h.SetPSKs(inside(psk("one", 'x')))
}

// is wants the state, and words in the problem; "" is no problem.
func (h *desktop) is(t *testing.T, state overlay.State, words string) {
	t.Helper()
	v := h.View()
	if p := v.Problem; v.State != state || (words == "") != (p == "") || !strings.Contains(p, words) {
		t.Errorf("%s is %q, %q; want %s, %q", h.name, v.State, p, state, words)
	}
}

// bare is a pair without keychains, with traffic both ways.
func bare(t *testing.T, lazy bool) (a, b *desktop, flows []*flow) {
	t.Helper()
	p := newPlace(t, lazy)
	p.keyless = true
	a, b = p.host(t, "a", 1), p.host(t, "b", 2)
	p.open(t, a, b)
	p.open(t, b, a)
	for end := time.Now().Add(30 * time.Second); !a.View().Live() || !b.View().Live(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("there is no session")
		}
	}
	return a, b, []*flow{startFlow(a, b, pace), startFlow(b, a, pace)}
}

// A keychain comes to a tunnel that had none, at one end, and at the other while
// the session without a PSK lives: nothing is lost.
func TestKeychainAddedVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		a, b, flows := bare(t, lazy)
		time.Sleep(20 * time.Second)
		a.demands()
		time.Sleep(2 * time.Second)
		a.is(t, overlay.Unsecured, "no PSK, which keychain psks demands")
		if !a.View().Live() {
			t.Error("what is left of the session is not used")
		}
		time.Sleep(38 * time.Second)
		b.demands()
		for _, h := range []*desktop{a, b} {
			h.carries(t, 0, "one", 150*time.Second)
			h.is(t, overlay.Secured, "")
		}
		for _, f := range flows {
			f.end(t)
		}
	})
}

// The other end has no keychain: without a PSK there is no other handshake, and
// the tunnel ends with its session; it comes back when the other end has it.
func TestKeychainDemandedVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		a, b, flows := bare(t, lazy)
		a.demands()
		time.Sleep(time.Second)
		last := a.View().Members[0].Handshake
		for range 80 {
			time.Sleep(5 * time.Second)
			if at := a.View().Members[0].Handshake; !at.Equal(last) && !at.IsZero() {
				t.Fatalf("a handshake without a PSK, %v later", at.Sub(last))
			}
			a.is(t, overlay.Unsecured, `PSK "one"`)
		}
		if a.View().Live() {
			t.Error("there is a session")
		}
		b.demands()
		for _, h := range []*desktop{a, b} {
			h.carries(t, 0, "one", 3*rollover.RejectAfter)
			h.is(t, overlay.Secured, "")
		}
		for _, f := range flows {
			close(f.stop)
			<-f.done
		}
	})
}

// A PSK is taken out of the keychain: no handshake is made under it any more, and
// nothing is lost if the other end follows while the session lives.
func TestRemovedVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		a, b, flows := both(t, lazy)
		time.Sleep(20 * time.Second)
		a.SetPSKs(inside(psk("two", 'y')))
		time.Sleep(2 * time.Second)
		a.is(t, overlay.Unsecured, `PSK "one", which is not in keychain`)
		time.Sleep(38 * time.Second)
		b.SetPSKs(inside(psk("two", 'y')))
		for _, h := range []*desktop{a, b} {
			h.carries(t, 0, "two", 150*time.Second)
			h.is(t, overlay.Secured, "")
		}
		for _, f := range flows {
			f.end(t)
		}
	})
}

// A hub's view has each peer, with its own PSK.
func TestViewPeersVirtual(t *testing.T) {
	bubbles(t, func(t *testing.T, lazy bool) {
		p := newPlace(t, lazy)
		hub, b, c := p.host(t, "hub", 1), p.host(t, "b", 2), p.host(t, "c", 3)
		p.open(t, hub, b, c)
		for i, h := range []*desktop{b, c} {
			p.open(t, h, hub)
			h.SetPSKs(inside(psk("one", 'x')))
			hub.setPSKs(i, inside(psk("one", 'x')))
		}
		hub.carries(t, 0, "one", 30*time.Second)
		hub.carries(t, 1, "one", 30*time.Second)
		two := inside(psk("two", 'y'), psk("one", 'x'))
		hub.SetPSKs(two)
		hub.SetPeerPSKs(0, two)
		b.SetPSKs(two)
		hub.carries(t, 0, "two", 200*time.Second)
		time.Sleep(time.Minute)
		peers := hub.View().Members[0].Peers
		for i, want := range []struct {
			h  *desktop
			id string
		}{{b, "two"}, {c, "one"}} {
			q := peers[i]
			if q.PublicKey != want.h.pair.Public.String() || q.Keychain != want.h.name || q.KeyID != want.id || !q.Live || q.Remote != addrPort(want.h.under) || q.Handshake.IsZero() || q.RxOctets == 0 {
				t.Errorf("%+v, want %s under %s", q, want.h.name, want.id)
			}
		}
	})
}
