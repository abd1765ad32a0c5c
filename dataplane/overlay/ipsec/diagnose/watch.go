package diagnose

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// Line is one of charon's log.
type Line struct {
	SA    uint32 // charon's number of the IKE_SA; 0: none
	Name  string // of its connection; "", "(unnamed)": not known yet
	Group string // IKE, CFG, NET, KNL, ...
	Text  string
}

// Watch follows what charon tells of each IKE_SA. The zero Watch is ready.
type Watch struct {
	sas map[uint32]*course
}

// course is what is known of one IKE_SA.
type course struct {
	remote             netip.Addr
	responder          bool
	wanted             string // identities that the peer asked for
	received, has      string // proposals
	rekeying           bool
	certificate, cause string // of the peer; why it was not trusted
}

// maxCourses bounds what strangers can make us remember.
const maxCourses = 4096

var (
	initiating = regexp.MustCompile(`^initiating IKE_SA .*\[\d+\] to (\S+)$`)
	initiated  = regexp.MustCompile(`^(\S+) is initiating an IKE_SA$`)
	looking    = regexp.MustCompile(`^looking for peer configs matching \S+?\[(.*)\]\.\.\.\S+?\[(.*)\]$`)
	tried      = regexp.MustCompile(`^tried \d+ shared keys? for '(.*)' - '(.*)', but MAC mismatched$`)
	noKey      = regexp.MustCompile(`^no shared key found for '(.*)' - '(.*)'$`)
	noPublic   = regexp.MustCompile(`^no trusted (\S+) public key found for '(.*)'$`)
	endEntity  = regexp.MustCompile(`^received end entity cert "(.*)"$`)
	refusedTS  = regexp.MustCompile(`^traffic selectors (.*) === (.*) unacceptable$`)
	groups     = regexp.MustCompile(`^peer didn't accept DH group (\S+), it requested (\S+)$`)
	received   = regexp.MustCompile(`^received (\S+) notify( error|, no CHILD_SA built)$`)
	noIssuer   = regexp.MustCompile(`^no issuer certificate found for "(.*)"$`)
	issuer     = regexp.MustCompile(`^\s*issuer is "(.*)"$`)
	modeWrong  = regexp.MustCompile(`^(\S+) mode requested by responder is unacceptable$`)
	badIDr     = regexp.MustCompile(`^received IDr (.*), but require (.*)$`)
	badID      = regexp.MustCompile(`^constraint check failed: identity '(.*)' required`)
)

// Feed takes the next line and tells what it means; false if it says nothing
// about success or failure.
func (w *Watch) Feed(l Line) (Finding, bool) {
	if l.SA == 0 {
		return Finding{}, false
	}
	if w.sas == nil || len(w.sas) >= maxCourses && w.sas[l.SA] == nil {
		w.sas = map[uint32]*course{}
	}
	c := w.sas[l.SA]
	if c == nil {
		c = new(course)
		w.sas[l.SA] = c
	}
	f, ok := c.feed(l.Text)
	if !ok {
		return Finding{}, false
	}
	f.Remote = c.remote
	if l.Name != "(unnamed)" {
		f.Connection = l.Name
	}
	return f, true
}

// Forget drops what is known of an IKE_SA that is gone.
func (w *Watch) Forget(sa uint32) { delete(w.sas, sa) }

// feed is Feed for one IKE_SA.
func (c *course) feed(text string) (Finding, bool) {
	if c.note(text) {
		return Finding{}, false
	}
	if f, ok := c.here(text); ok {
		f.Here = true
		return f, true
	}
	return c.there(text)
}

// note remembers what a later line is understood by.
func (c *course) note(text string) bool {
	switch {
	case match(initiating, text, func(m []string) { c.remote, c.responder = address(m[1]), false }),
		match(initiated, text, func(m []string) { c.remote, c.responder = address(m[1]), true }),
		match(looking, text, func(m []string) { c.wanted = m[1] + " (ours), " + m[2] + " (its own)" }),
		match(endEntity, text, func(m []string) { c.certificate = m[1] }),
		match(noIssuer, text, func(m []string) { c.cause = "no certificate here of the issuer of " + m[1] }),
		match(issuer, text, func(m []string) { c.cause += ", which is " + m[1] }):
		return true
	}
	if rest, ok := strings.CutPrefix(text, "received proposals: "); ok {
		c.received = suite.Words(rest)
		return true
	}
	if rest, ok := strings.CutPrefix(text, "configured proposals: "); ok {
		c.has = suite.Words(rest)
		return true
	}
	switch {
	case strings.HasPrefix(text, "establishing CHILD_SA") && strings.Contains(text, " reqid "):
		c.rekeying = true // only a rekeying has one already
	case strings.Contains(text, "certificate invalid (valid from"), strings.Contains(text, "certificate was revoked"),
		strings.Contains(text, "is not trusted"), strings.HasPrefix(text, "rejecting certificate"):
		c.cause = strings.TrimSpace(text)
	default:
		return false
	}
	return true
}

// here are failures that this end found.
func (c *course) here(text string) (f Finding, ok bool) {
	set := func(kind Kind, offered, accepted string) {
		f, ok = Finding{Kind: kind, Offered: offered, Accepted: accepted, Rekey: c.rekeying}, true
	}
	switch {
	case text == "received proposals unacceptable":
		set(IKEProposal, c.received, c.has)
	case text == "no acceptable proposal found":
		set(ESPProposal, c.received, c.has)
	case text == "no matching peer config found", text == "no alternative config found":
		set(Identity, c.wanted, "")
	case match(tried, text, func(m []string) { set(PSK, m[2], "") }):
	case match(noKey, text, func(m []string) { set(PSK, m[2], ""); f.Detail = text }):
	case match(badIDr, text, func(m []string) { set(Identity, m[1], m[2]) }):
	case match(badID, text, func(m []string) { set(Identity, "", m[1]) }):
	case match(refusedTS, text, func(m []string) { set(Selectors, m[2]+" to "+m[1], "") }):
	case text == "no acceptable traffic selectors found":
		set(Selectors, "", "")
	case match(modeWrong, text, func(m []string) { set(Mode, strings.ToLower(m[1]), "") }):
	case match(noPublic, text, func(m []string) { set(Certificate, m[2], ""); f.Detail = c.cause }):
		if c.certificate != "" {
			f.Offered = c.certificate
		}
	case strings.HasPrefix(text, "signature validation failed"):
		set(Certificate, c.certificate, "") // unless there is another key; then it is established
		f.Detail = or(c.cause, "its signature is not by the key of its certificate")
	case strings.HasPrefix(text, "no private key found for"), strings.HasPrefix(text, "unable to install"),
		strings.HasPrefix(text, "unable to allocate SPIs"):
		set(Kernel, "", "")
		f.Detail = text
		if strings.HasPrefix(text, "no private") {
			f.Kind = Certificate
		}
	case strings.HasPrefix(text, "error writing to socket: "):
		set(Network, "", "")
		f.Detail = strings.TrimPrefix(text, "error writing to socket: ")
	}
	return f, ok
}

// there are failures that the other end reported, its silence, and success.
func (c *course) there(text string) (f Finding, ok bool) {
	set := func(kind Kind, offered, accepted string) {
		f, ok = Finding{Kind: kind, Offered: offered, Accepted: accepted, Rekey: c.rekeying}, true
	}
	notified := func(m []string) {
		switch child := m[2] != " error"; m[1] {
		case "NO_PROPOSAL_CHOSEN":
			if child {
				set(ESPProposal, "", "")
			} else {
				set(IKEProposal, "", "")
			}
		case "AUTHENTICATION_FAILED":
			set(Authentication, "", "")
		case "TS_UNACCEPTABLE", "SINGLE_PAIR_REQUIRED":
			set(Selectors, "", "")
		case "INVALID_KE_PAYLOAD":
			set(KeyExchange, "", "")
		case "CHILD_SA_NOT_FOUND", "TEMPORARY_FAILURE", "COOKIE":
			// No fault of the configuration: it is tried again.
		default:
			set(Authentication, "", "")
			f.Detail = m[1]
		}
	}
	switch {
	case match(received, text, notified):
	case match(groups, text, func(m []string) {
		c.has = suite.Keyword(m[2])
	}):
	case strings.HasPrefix(text, "requested DH group") && strings.Contains(text, "not contained in any of our"):
		set(KeyExchange, "", c.has)
	case strings.HasPrefix(text, "retransmit "), strings.HasPrefix(text, "giving up after"), strings.HasSuffix(text, "peer not responding"):
		set(NoAnswer, "", "")
	case strings.HasPrefix(text, "CHILD_SA ") && strings.Contains(text, " established with SPIs"),
		strings.HasPrefix(text, "outbound CHILD_SA ") && strings.Contains(text, " established with SPIs"):
		c.rekeying = false
		set(None, "", "")
	}
	return f, ok
}

func match(re *regexp.Regexp, text string, do func(m []string)) bool {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	do(m)
	return true
}

func address(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}
