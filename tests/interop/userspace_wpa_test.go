package interop

import (
	"strings"
	"testing"

	"github.com/linkseal/linkseal/tests/lab"
)

// TestUserspaceSupplicant has a SecY in user space on a cable with
// wpa_supplicant and the kernel's MACsec.
func TestUserspaceSupplicant(t *testing.T) {
	t.Parallel()
	integrity := []string{"encrypt: false"}
	for _, c := range []struct {
		name   string
		port   lab.Port
		extra  []string // of the supplicant
		server bool     // linkseal is key server
	}{
		{"gcm-aes-128, not key server", lab.Port{Priority: loses}, nil, false},
		{"gcm-aes-128, key server, integrity only", lab.Port{Priority: wins, Extra: integrity}, []string{"macsec_integ_only=1"}, true},
		{"gcm-aes-256, key server", lab.Port{Priority: wins, Cipher: "gcm-aes-256"}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.port.Dataplane = userspace
			m := newMixed(t, key(t, 16, 32), c.port, c.extra...)
			if c.port.Cipher == "gcm-aes-256" {
				m.peer.createDevice256(t)
			}
			before := m.secure(t, c.server)
			if before.Dataplane != userspace || !strings.HasPrefix(before.PortIO, "AF_XDP") {
				t.Errorf("dataplane %s by %s", before.Dataplane, before.PortIO)
			}
			bulk(t, m.west, m.peer.Appliance)
			s := wait(t, "the counters", secured, m.west)[0]
			plain := s.Counters["out_pkts_protected"] > 0
			if secret := s.Counters["out_pkts_encrypted"] > 0; plain == secret || plain != (c.extra != nil) {
				t.Errorf("counters %v", s.Counters)
			}
			for _, name := range wrong {
				if s.Counters[name] != 0 {
					t.Errorf("%s is %d", name, s.Counters[name])
				}
			}
		})
	}
}
