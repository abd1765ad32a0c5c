package ipsec

import (
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// wrongs are settings that differ, and what must be said of each: by us when we
// are refused (there) and when we refuse (here).
var wrongs = []struct {
	name        string
	theirs      setup
	ours        func(*config.Tunnel)
	there, here []string
}{
	{
		"psk", setup{secrets: []string{"another"}}, nil,
		[]string{"remote THEM refused this end (AUTHENTICATION_FAILED)", "another PSK", "PSK k1", "local_id US"},
		[]string{"this end refused the PSK of remote THEM", `identity "THEM"`, "PSK k1"},
	}, {
		"our identity", setup{remote: "us.example"}, nil,
		[]string{"remote THEM refused this end (AUTHENTICATION_FAILED)", "does not know these identities", "local_id US", "remote_id THEM"},
		[]string{"this end refused remote THEM: its identities are not those configured", "us.example (ours), THEM (its own)", "local_id US, remote_id THEM"},
	}, {
		"its identity", setup{local: "them.example"}, nil,
		[]string{"remote THEM refused this end (AUTHENTICATION_FAILED)", "local_id US", "remote_id THEM"},
		[]string{"this end refused remote THEM: its identities are not those configured", "them.example (its own)", "remote_id THEM"},
	}, {
		"ike proposal", setup{ike: "aes256-sha256-modp2048"}, nil,
		[]string{"remote THEM refused all IKE proposals (NO_PROPOSAL_CHOSEN)", "offered by us: aes256gcm16-prfsha384-ecp384"},
		[]string{"this end refused remote THEM: no IKE proposal in common", "offered by it: aes256-sha256-prfsha256-modp2048", "accepted here: aes256gcm16-prfsha384-ecp384"},
	}, {
		"esp proposal", setup{esp: "aes256-sha256"}, nil,
		[]string{"remote THEM refused all ESP proposals (NO_PROPOSAL_CHOSEN)", "offered by us: aes256gcm16-ecp384"},
		[]string{"this end refused remote THEM: no ESP proposal in common", "offered by it: aes256-sha256", "accepted here: aes256gcm16-ecp384"},
	}, {
		"selectors", setup{localTS: "fd01::/64", remTS: "fd02::/64"}, nil,
		[]string{"remote THEM refused the traffic selectors (TS_UNACCEPTABLE)", "offered by us: 0.0.0.0/0 to 0.0.0.0/0"},
		[]string{"this end refused remote THEM: no traffic selectors in common", "offered by it: fd01::/64 to fd02::/64", "accepted here: 0.0.0.0/0 to 0.0.0.0/0"},
	}, {
		"narrower selectors", setup{localTS: "10.81.0.0/16"}, nil,
		[]string{"remote THEM narrowed the traffic selectors to 0.0.0.0/0 to 10.81.0.0/16", "offered by us: 0.0.0.0/0 to 0.0.0.0/0"},
		[]string{"remote THEM narrowed the traffic selectors to 0.0.0.0/0 to 10.81.0.0/16"},
	},
}

// roles are those in which refusals are tried.
func roles() []string {
	if probetest.InGuest() {
		return []string{"initiator"} // charon says the same whatever the kernel
	}
	return []string{"initiator", "responder"}
}

// attempts is how often a tunnel was begun that did not come up.
func attempts(s *Session) int {
	n := make(chan int)
	s.post(func() { n <- s.members[0].failures })
	return <-n
}

// Each wrong setting is named in the first attempt, whoever began it.
func TestWrong(t *testing.T) {
	for _, role := range roles() {
		t.Run(role, func(t *testing.T) {
			w := newWire(t, role == "responder")
			p := w.peer()
			c := w.charon()
			for _, wrong := range wrongs {
				t.Run(wrong.name, func(t *testing.T) {
					w.t, p.w.t = t, t
					if wrong.theirs.secrets == nil {
						wrong.theirs.secrets = []string{"one"}
					}
					p.load(wrong.theirs)
					cfg := w.tunnel()
					if wrong.ours != nil {
						wrong.ours(&cfg)
					}
					want := wrong.there
					s := w.open(c, cfg, psks([2]string{"k1", "one"}))
					if role == "responder" {
						want = wrong.here
						w.loaded(c, false)
						p.swanctl("--initiate", "--child", "t0", "--timeout", "2")
					}
					tried, before := 0, 0 // a second after the first another follows
					waitFor(t, 15*time.Second, "a problem is named", func() bool { before, tried = tried, attempts(s); return s.View().Problem != "" })
					v := s.View()
					t.Logf("%s; %s", v.Problem, v.Remedy)
					for _, part := range want {
						part = strings.NewReplacer("THEM", w.their, "US", w.our).Replace(part)
						if !strings.Contains(v.Problem, part) {
							t.Errorf("problem %q has no %q", v.Problem, part)
						}
					}
					if v.Remedy == "" {
						t.Error("no remedy")
					}
					if role == "initiator" && before > 0 && tried > 1 {
						t.Errorf("it took %d attempts", tried)
					}
					if err := s.Remove(); err != nil {
						t.Error(err)
					}
				})
			}
			w.t = t
		})
	}
}
