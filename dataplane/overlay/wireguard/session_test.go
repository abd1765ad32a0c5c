package wireguard

import (
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
)

// withPSK is a tunnel that has PSKs.
func withPSK(t *config.Tunnel) { t.WireGuard.Keychain = "psks" }

// Two of ours, over IPv4 and IPv6, with a PSK.
func TestBoth(t *testing.T) {
	over(t, func(t *testing.T, k kind) {
		for _, six := range []bool{false, true} {
			t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[six], func(t *testing.T) {
				a, b := cable(t)
				for _, h := range []*end{a, b} {
					h.six = six
				}
				for _, h := range []*end{a, b} {
					h.prepare(t, k, withPSK)
					h.open(t).SetPSKs(inside(psk("one", 'x')))
				}
				a.live(t)
				b.live(t)
				a.ping(t, 20)
				b.ping(t, 20)
				for _, h := range []*end{a, b} {
					v := h.session.View()
					m := v.Members[0]
					if v.State != overlay.Secured || v.Problem != "" || v.PublicKey != h.public.String() {
						t.Errorf("%s: %+v", h.name, v)
					}
					if m.KeyID != "one" || m.Remote.Addr() != h.other.underlay() || m.Remote.Port() != port || m.RxOctets == 0 || m.TxOctets == 0 || time.Since(m.Handshake) > time.Minute {
						t.Errorf("%s: %+v", h.name, m)
					}
				}
			})
		}
	})
}
