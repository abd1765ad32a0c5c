package kay

import (
	"fmt"
	"net"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Status is a port's MKA at one moment.
type Status struct {
	Port  string
	SCI   sa.SCI
	Suite sa.Suite
	MKA   mka.State
	// Secured tells that MKA is, and that the Controlled Port has been set so.
	Secured bool
	// Since is when the port became what it is, secured or not.
	Since time.Time
	// Reason is why it is not secured, and what to do; empty if it is.
	Reason string
	// Table is the SecY's own word on its SAs, at most 250 ms old.
	Table      sa.Table
	SendErrors uint64
	// Epoch is what MKA's durations are counted from.
	Epoch time.Time
	// StateError is why what a restart needs cannot be saved; empty if it is.
	StateError string
}

// Status asks the KaY's goroutine. false: the KaY has stopped.
func (k *KaY) Status() (s Status, ok bool) {
	ok = k.call(func() {
		s = Status{Port: k.cfg.Port, SCI: k.cfg.MKA.SCI, Suite: k.cfg.MKA.Suite, MKA: k.entity.State(), Since: k.securedSince, Epoch: k.epoch, SendErrors: k.sendErrors, StateError: k.saveErr}
		s.Table.Encoding = k.table.Encoding
		s.Table.Tx = append(s.Table.Tx, k.table.Tx...)
		s.Table.Rx = append(s.Table.Rx, k.table.Rx...)
		switch s.Secured = s.MKA.Secured && k.portErr == ""; {
		case k.portErr != "":
			s.Reason = "the Controlled Port cannot be set, and is tried again: " + k.portErr
		case !s.Secured:
			s.Reason = reason(&s.MKA, k.now(), k.cfg.MKA.Life, k.heard, k.sendErr)
		}
	})
	return s, ok
}

// reason says why a port is not secured: the first that holds of a list that
// goes from what explains most to what explains least. Only what happened
// within two life times counts. heard is when a frame last came, whatever it
// was; 0 if none ever did.
func reason(st *mka.State, now, life, heard time.Duration, sendErr string) string {
	if len(st.Participants) == 0 {
		return "no key of its keychain may be used now: add one, or look at the windows with linkseal keys list"
	}
	if sendErr != "" {
		return "MKPDUs cannot be sent: " + sendErr
	}
	recent := func(at time.Duration) bool { return at > 0 && now-at < 2*life }
	for i := range st.Participants {
		p := &st.Participants[i]
		if p.Refused != "" && recent(p.RefusedAt) {
			return fmt.Sprintf("CKN %x: the SAK of key server %s was refused: %s", p.CKN, p.Server, p.Refused)
		}
	}
	for i := range st.Participants {
		p := &st.Participants[i]
		switch {
		case live(p) > 0 && !p.Elected:
			return fmt.Sprintf("CKN %x: no key server, since every member has key server priority 255: give one a lower mka priority", p.CKN)
		case live(p) > 0 && p.KeyServer:
			return fmt.Sprintf("CKN %x: a SAK is distributed, and not all peers have announced receive yet", p.CKN)
		case live(p) > 0:
			return fmt.Sprintf("CKN %x: waiting for key server %s to distribute a SAK", p.CKN, p.Server)
		}
	}
	for i := range st.Participants {
		p := &st.Participants[i]
		switch {
		case p.ICVBad > 0 && recent(p.ICVBadAt):
			return fmt.Sprintf("CKN %x: the ICV of MKPDUs from %s is bad: the CAKs differ; compare the fingerprints that linkseal keys list shows at both ends", p.CKN, net.HardwareAddr(p.ICVBadFrom[:]))
		case len(p.Peers) > 0:
			return fmt.Sprintf("CKN %x: peer %s is heard but does not list us: our MKPDUs do not reach it, or it refuses them", p.CKN, p.Peers[0].SCI)
		}
	}
	// Counters are of all time: what they say is not why nothing comes now.
	if silence := now - heard; heard > 0 && silence > life/2 {
		return fmt.Sprintf("no MKPDU received for %s, after there were some: is the peer still up, and the circuit to it?", silence.Truncate(time.Second))
	}
	if c := &st.Counters; c.UnknownCKN > 0 {
		return fmt.Sprintf("peer %s speaks under CKN %x, which is not in the keychain or not in its window", net.HardwareAddr(c.LastUnknownFrom[:]), c.LastUnknownCKN)
	}
	if st.Counters.Received > 0 {
		return "no live peer: what was received was malformed or replayed; see the counters"
	}
	return "no MKPDU received: is the peer up, and are its EAPOL destination and EtherType the same?"
}

func live(p *mka.ParticipantState) (n int) {
	for i := range p.Peers {
		if p.Peers[i].Live {
			n++
		}
	}
	return n
}
