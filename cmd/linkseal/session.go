package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/clerk"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/secy"
	"github.com/linkseal/linkseal/dataplane/softsecy/device"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/kay"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/eapol"
)

// session is a port's KaY with its EAPOL socket and its SecY, as the
// reconciler runs it.
type session struct {
	kay      *kay.KaY
	secy     secY
	clerk    *clerk.Clerk // in front of secy, for the KaY
	speakers *reconcile.Speakers
	priority uint8

	mu           sync.Mutex
	fingerprints map[string]string // by CKN in hex
}

// openSession starts the KaY of p. state is the state directory; retired is
// called when a key has gone.
func openSession(p config.Port, at reconcile.Place, state string, retired func(), log *slog.Logger) (reconcile.Session, error) {
	y, err := openSecY(p, at, log.With("port", p.Name))
	if err != nil {
		return nil, err
	}
	conn, err := eapol.Listen(at.Parent, eapol.Options{Destination: p.MKA.Destination, EtherType: p.MKA.EtherType})
	if err != nil {
		return nil, errors.Join(err, y.Close())
	}
	accounts := clerk.Open(clerk.Options{SecY: y, SCI: at.SCI, Parent: at.Parent, State: state, Port: p.Name, Log: log.With("port", p.Name)})
	speakers := reconcile.NewSpeakers(at.Parent, log.With("port", p.Name))
	members := func(all []mka.Member) { speakers.Set(filterMembers(all)) }
	k, err := kay.Start(kay.Config{Port: p.Name, Should: !p.Must, Log: log, Retired: retired, Members: members, MKA: mka.Config{
		SCI: at.SCI, Priority: p.MKA.Priority, Hello: p.MKA.Hello, Life: p.MKA.Life, Rekey: p.MKA.Rekey,
		Suite: p.Cipher.Suite(), Encrypt: p.Encrypt, ConfidentialityOffset: uint8(p.ConfidentialityOffset),
		Destination: p.MKA.Destination, EtherType: p.MKA.EtherType, Rand: rand.Reader,
	}}, conn, accounts, reconcile.PortState(state, p.Name))
	if err != nil {
		speakers.Close()
		return nil, errors.Join(err, conn.Close(), accounts.Close(), y.Close())
	}
	accounts.Start(func() map[string]string {
		st, _ := k.Status()
		return names(st.MKA.SAs)
	})
	return &session{kay: k, secy: y, clerk: accounts, speakers: speakers, priority: p.MKA.Priority}, nil
}

// filterMembers are MKA's members as the filter knows them.
func filterMembers(all []mka.Member) (to []bpf.Member) {
	for _, m := range all {
		f := bpf.Member{CKN: m.CKN}
		for _, s := range m.Peers {
			f.Peers = append(f.Peers, bpf.Peer{Address: s.Source, MI: s.MI})
		}
		to = append(to, f)
	}
	return to
}

// SetKeys implements reconcile.Session: the active keys have a participant,
// and those that expired hard are cut.
func (s *session) SetKeys(sel keychain.Selection) {
	var keys []mka.Key
	var cut [][]byte
	fingerprints := make(map[string]string)
	for _, k := range sel.Active {
		keys = append(keys, mka.Key{CKN: []byte(k.CKN), CAK: k.CAK})
		fingerprints[k.CKN.String()] = k.CAK.Fingerprint()
	}
	for _, c := range sel.All {
		if c.State == keychain.Expired && c.ExpiresHard {
			cut = append(cut, []byte(c.CKN))
		}
	}
	s.mu.Lock()
	s.fingerprints = fingerprints
	s.mu.Unlock()
	s.kay.SetKeys(keys, cut...)
}

// Configure implements reconcile.Session. The kernel's SecY was changed by the
// plan.
func (s *session) Configure(p config.Port) {
	if d, ours := s.secy.(*device.Device); ours {
		d.SetParameters(parameters(p))
	}
}

// LinkChanged implements reconcile.Session.
func (s *session) LinkChanged(up bool) {
	if d, ours := s.secy.(*device.Device); ours {
		d.LinkChanged(up)
	}
	s.kay.LinkChanged(up)
}

// SetPromiscuous implements reconcile.Session. The kernel's MACsec device tells
// its parent itself.
func (s *session) SetPromiscuous(on bool) {
	if d, ours := s.secy.(*device.Device); ours {
		d.SetPromiscuous(on)
	}
}

// FilterSet implements reconcile.Session.
func (s *session) FilterSet() (works bool) {
	s.speakers.FilterSet()
	d, ours := s.secy.(*device.Device)
	works = !ours || d.FilterSet()
	s.clerk.FilterSet()
	return works
}

// Enforced implements reconcile.Session.
func (s *session) Enforced(why string) { s.clerk.Enforced(why) }

// Idle implements reconcile.Session.
func (s *session) Idle() time.Duration { return s.kay.Idle() }

// Suspend implements reconcile.Session.
func (s *session) Suspend() error { return s.kay.Suspend() }

// Close implements reconcile.Session.
func (s *session) Close() error {
	err := s.kay.Close()
	s.speakers.Close()
	return errors.Join(err, s.clerk.Close(), s.secy.Close())
}

// Report implements reconcile.Session.
func (s *session) Report(p *status.Port) bool {
	st, ok := s.kay.Status()
	if !ok {
		return false
	}
	p.State, p.StateError = status.Unsecured, st.StateError
	p.UnsecuredReason = st.Reason
	if st.Secured {
		p.State, p.SecuredSince = status.Secured, &st.Since
	}
	s.mu.Lock()
	for i := range st.MKA.Participants {
		p.Participants = append(p.Participants, s.participant(&st.MKA.Participants[i]))
	}
	s.mu.Unlock()
	// The KaY's own view may be a poll behind its state.
	table := st.Table
	var now sa.Table
	if err := s.secy.Observe(&now); err == nil {
		table = now
	}
	agreed := make(map[sa.KeyID]mka.SAState)
	since := func(key sa.KeyID) *time.Time {
		a, known := agreed[key]
		if !known {
			return nil
		}
		t := st.Epoch.Add(a.Since)
		return &t
	}
	for _, a := range st.MKA.SAs {
		agreed[a.Key] = a
	}
	for _, t := range table.Tx {
		if t.AN == table.Encoding {
			a := agreed[t.Key]
			p.Tx = &status.Tx{AN: t.AN, PN: t.PN, Key: t.Key.String(), CKN: hex.EncodeToString(a.CKN), PeersTransmit: a.PeersTransmit, Since: since(t.Key)}
		}
	}
	for _, r := range table.Rx {
		p.Rx = append(p.Rx, status.Rx{SCI: r.SCI.String(), AN: r.AN, PN: r.PN, Key: r.Key.String(), CKN: hex.EncodeToString(agreed[r.Key].CKN), Since: since(r.Key)})
	}
	p.Counters = mkaCounters(&st.MKA.Counters)
	p.Counters["mkpdus_not_sent"] = st.SendErrors
	s.reportSecY(p)
	p.Accounts, p.NoAccount, p.AccountError = s.clerk.Report(names(st.MKA.SAs), endedAccounts)
	return true
}

// endedAccounts is how many accounts of keys that ended a status has. The state
// directory has more.
const endedAccounts = 10

// names are the CKNs of SAs by key identifier.
func names(sas []mka.SAState) map[string]string {
	all := make(map[string]string)
	for _, a := range sas {
		if len(a.CKN) > 0 {
			all[a.Key.String()] = hex.EncodeToString(a.CKN)
		}
	}
	return all
}

// reportSecY fills in what the two kinds of SecY tell in their own way.
func (s *session) reportSecY(p *status.Port) {
	var c any
	var err error
	switch y := s.secy.(type) {
	case *device.Device:
		c, err = y.Counters()
		p.PortIO = y.PortIO()
	case *secy.SecY:
		c, err = y.Counters()
	}
	if err == nil {
		secYCounters(c, p.Counters)
	}
}

func (s *session) participant(m *mka.ParticipantState) status.Participant {
	ckn := hex.EncodeToString(m.CKN)
	p := status.Participant{CKN: ckn, Principal: m.Principal, KeyServer: m.Elected && m.KeyServer, Priority: s.priority, Held: m.Leaving,
		Fingerprint: s.fingerprints[ckn], MI: m.MI.String()}
	for _, q := range m.Peers {
		p.Peers = append(p.Peers, status.Peer{SCI: q.SCI.String(), MI: q.MI.String(), Live: q.Live, Priority: q.Priority, Suspended: q.Suspended, ICVBad: q.ICVBad})
	}
	return p
}

func mkaCounters(c *mka.Counters) map[string]uint64 {
	m := map[string]uint64{
		"mkpdus_received": c.Received, "mkpdus_sent": c.Sent, "mkpdus_unknown_ckn": c.UnknownCKN, "mkpdus_icv_bad": c.ICVBad,
		"mkpdus_replayed": c.Replayed, "mkpdus_own_mi": c.OwnMI, "mkpdus_duplicate_sci": c.DuplicateSCI, "mkpdus_peer_list_full": c.PeerListFull,
		"saks_distributed": c.SAKsDistributed, "saks_received": c.SAKsReceived, "saks_refused": c.SAKsRefused, "sa_changes_failed": c.ChangesFailed,
	}
	for i, n := range c.Malformed {
		if i > 0 {
			m["mkpdus_malformed_"+mkpdu.Error(i).Name()] = n
		}
		m["mkpdus_malformed"] += n
	}
	return m
}

// secYCounters adds those of the SecY as a whole, under the names that they
// have in JSON; the lists of SAs and SCs in c are left out.
func secYCounters(c any, to map[string]uint64) {
	text, err := json.Marshal(c)
	if err != nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(text))
	var fields map[string]json.RawMessage
	if d.Decode(&fields) != nil {
		return
	}
	for name, raw := range fields {
		var n *uint64 // a list that is nil is null, and no counter
		if json.Unmarshal(raw, &n) == nil && n != nil {
			to[name] = *n
		}
	}
}
