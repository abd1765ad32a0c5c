package metrics

import (
	"strconv"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	portInfo = gauge("port_info", "What a port is; always 1. encrypt=\"false\" is integrity only.",
		"port", "device", "interface", "dataplane", "secure", "cipher", "encrypt", "sci", "keychain")
	portState   = gauge("port_state", "1 for the state that the port is in.", "port", "state")
	portPassing = gauge("port_passing", "1 for the traffic that passes the port.", "port", "traffic")
	portSecured = gauge("port_secured_since_timestamp_seconds", "When the port was last secured; absent while it is not.", "port")
	portAlarm   = gauge("port_alarm", "1 while something is wrong with the port that its state does not tell: it cannot be made as configured (problem), its keychain's source could not be used (keys), what a restart needs cannot be saved (state), what passes under each key is not counted or not kept (account), its circuits and classes cannot be read (tags).", "port", "alarm")

	principal      = gauge("participant_principal", "1 if the MKA participant is the principal, whose SAK carries the traffic.", "port", "ckn")
	keyServer      = gauge("participant_key_server", "1 if this end is the elected key server.", "port", "ckn")
	priority       = gauge("participant_priority", "This end's key server priority; the least wins.", "port", "ckn")
	held           = gauge("participant_held", "1 if the key has expired or left the keychain and is kept because it carries traffic.", "port", "ckn")
	livePeers      = gauge("participant_live_peers", "Peers that list this end in their MKPDUs.", "port", "ckn")
	potentialPeers = gauge("participant_potential_peers", "Peers that are heard and do not list this end.", "port", "ckn")
	suspendedPeers = gauge("participant_suspended_peers", "Live peers that are away by their own word, with MKA suspended.", "port", "ckn")

	txPN            = gauge("tx_sa_next_pn", "The next PN of the encoding SA.", "port", "an", "ckn")
	txAge           = gauge("tx_sa_age_seconds", "How long the encoding SA has been there, or since this daemon adopted it.", "port", "an", "ckn")
	txPeersTransmit = gauge("tx_sa_peers_transmit", "1 if every live peer transmits with the encoding SA's key too.", "port", "an", "ckn")
	rxPN            = gauge("rx_sa_next_pn", "The next PN that a receive SA expects.", "port", "sci", "an", "ckn")
	rxAge           = gauge("rx_sa_age_seconds", "How long a receive SA's key has been there, or since this daemon adopted it.", "port", "sci", "an", "ckn")
)

var (
	states  = []string{status.Secured, status.Unsecured, status.Down}
	passing = []string{status.PassingProtected, status.PassingClear, status.PassingNone}
)

func (w scrape) port(p *status.Port) {
	w.put(portInfo, 1, p.Name, p.Device, p.Interface, p.Dataplane, p.Secure, p.Cipher, strconv.FormatBool(p.Encrypt), p.SCI, p.Keychain)
	w.oneOf(portState, p.State, states, p.Name)
	w.oneOf(portPassing, p.Passing, passing, p.Name)
	w.at(portSecured, p.SecuredSince, p.Name)
	w.flag(portAlarm, p.Problem != "", p.Name, "problem")
	w.flag(portAlarm, p.KeysError != "", p.Name, "keys")
	w.flag(portAlarm, p.StateError != "", p.Name, "state")
	w.flag(portAlarm, p.AccountError != "", p.Name, "account")
	w.flag(portAlarm, p.TagsError != "", p.Name, "tags")
	for i := range p.Participants {
		w.participant(p.Name, &p.Participants[i])
	}
	if t := p.Tx; t != nil {
		labels := func() []string { return []string{p.Name, number(t.AN), t.CKN} }
		w.put(txPN, float64(t.PN), labels()...)
		w.ago(txAge, w.now, t.Since, labels()...)
		w.flag(txPeersTransmit, t.PeersTransmit, labels()...)
	}
	for _, r := range p.Rx {
		w.put(rxPN, float64(r.PN), p.Name, r.SCI, number(r.AN), r.CKN)
		w.ago(rxAge, w.now, r.Since, p.Name, r.SCI, number(r.AN), r.CKN)
	}
	w.accounts(p)
	w.counters(p)
	w.filter(p)
	w.tagging(p)
}

func (w scrape) participant(port string, m *status.Participant) {
	w.flag(principal, m.Principal, port, m.CKN)
	w.flag(keyServer, m.KeyServer, port, m.CKN)
	w.put(priority, float64(m.Priority), port, m.CKN)
	w.flag(held, m.Held, port, m.CKN)
	var live, potential, suspended float64
	for _, peer := range m.Peers {
		if peer.Live {
			live++
		} else {
			potential++
		}
		if peer.Suspended {
			suspended++
		}
	}
	w.put(livePeers, live, port, m.CKN)
	w.put(potentialPeers, potential, port, m.CKN)
	w.put(suspendedPeers, suspended, port, m.CKN)
}

func number(n uint8) string { return strconv.Itoa(int(n)) }
