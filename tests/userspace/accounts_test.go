package userspace

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/account"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// accountsOf are frames and octets by key, of one direction.
func accountsOf(s status.Port, direction string) (by map[string][2]uint64, sum [2]uint64) {
	by = make(map[string][2]uint64)
	for _, a := range s.Accounts {
		if a.Direction == direction {
			by[a.Key] = [2]uint64{a.Packets, a.Octets}
			sum[0] += a.Packets
			sum[1] += a.Octets
		}
	}
	return by, sum
}

// Every frame that leaves is of one key, and so is every one that comes: by
// AF_XDP, over rekeys under traffic, both ends agree key by key, the keys are
// all that there was, and nothing was in clear. What is ended is on the disk.
func TestAccounts(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: "hello: 1s, life: 6s, rekey: 6s"})
	p.start(t)
	d := sendDatagrams(t, inside(p.west), inside(p.east), 500)
	d.flow(t, 100)
	eventually(t, "two keys to have gone under traffic", func() bool {
		s := said(t, p.west)
		n := 0
		for _, a := range s.Accounts {
			if a.Direction == account.Egress && a.To != nil {
				n++
			}
		}
		return n >= 2
	})
	d.end()
	agree := func() string {
		west, east := said(t, p.west), said(t, p.east)
		out, all := accountsOf(west, account.Egress)
		in, _ := accountsOf(east, account.Ingress)
		total := [2]uint64{west.Filter["egress_macsec_packets"], west.Filter["egress_macsec_octets"]}
		if all != total {
			return "not all is of a key"
		}
		for key, n := range out {
			if in[key] != n {
				return "key " + key + " differs"
			}
		}
		for _, a := range west.Accounts {
			if a.ClearPackets != 0 || a.CKN != p.key.CKN || a.Cut {
				t.Errorf("%+v", a)
			}
		}
		return ""
	}
	why := ""
	eventually(t, "both ends to agree", func() bool { why = agree(); return why == "" })
	text, _, _, err := p.west.Verb(t.Context(), "status", "--socket", p.west.Socket())
	check(t, err)
	if !strings.Contains(text, " left encrypted under key ") || !strings.Contains(text, ", and 0 in clear") {
		t.Errorf("status does not state it:\n%s", text)
	}
	s := said(t, p.west)
	eventually(t, "the accounts of all keys that are gone to be on the disk", func() bool {
		kept, err := os.ReadFile(filepath.Join(p.west.State(), "accounts", "link1", "ended.json"))
		return err == nil && !slices.ContainsFunc(s.Accounts, func(a account.Account) bool {
			return a.To != nil && !strings.Contains(string(kept), a.Key)
		})
	})
	out, _ := accountsOf(s, account.Egress)
	figure(t, "%d keys, %d frames: both ends count the same under each; %s", len(out), s.Filter["egress_macsec_packets"], s.PortIO)
}
