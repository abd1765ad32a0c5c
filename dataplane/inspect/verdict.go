package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// life is how long a member stays live unheard (802.1X table 9-3).
const life = 6 * time.Second

// Verdict says why the link is up or down at the end of what was seen, a
// conclusion a line, the causes of a CKN's state indented under it. It says
// nothing of keys.
func (in *Inspector) Verdict() []string {
	var lines []string
	for _, c := range in.order {
		state, why := c.judge(in.last)
		if n := in.cut.mka[string(c.octets)]; n > 0 && state != "up" {
			state = "not known"
			why = append([]string{fmt.Sprintf("%s cut by the snap length; what follows is of the others alone", were(n, "MKPDU"))}, why...)
		}
		lines = append(lines, fmt.Sprintf("CKN %x: %s", c.octets, state))
		for _, w := range why {
			lines = append(lines, "  "+w)
		}
	}
	lines = append(append(lines, in.unspoken()...), in.judgeCuts()...)
	return append(lines, in.traffic()...)
}

// judge tells the state under a CKN and its reasons.
func (c *ckn) judge(end time.Time) (state string, why []string) {
	if !c.known {
		why = append(why, "CKN unknown: no CAK was given for it, and what follows is not authenticated")
	}
	if c.malformed > 0 {
		why = append(why, fmt.Sprintf("%s could not be read", count(c.malformed, "MKPDU")))
	}
	why = append(why, c.judgeICVs()...)
	present := c.present(end)
	for _, s := range c.speakers {
		if len(present) > 0 && !slices.Contains(present, s) {
			why = append(why, fmt.Sprintf("%s was not heard in the last %v of the capture", s.sci, end.Sub(s.last).Round(time.Millisecond)))
		}
		if s.restarts > 0 {
			why = append(why, fmt.Sprintf("%s restarted: its MI changed %s", s.sci, times(s.restarts)))
		}
		if s.replays > 0 {
			why = append(why, fmt.Sprintf("%s of %s did not raise the MN: replayed, reordered or captured twice", count(s.replays, "MKPDU"), s.sci))
		}
	}
	if key := inUse(present); !key.IsZero() && !c.plainText() {
		who := make([]string, len(present))
		for i, s := range present {
			who[i] = s.sci.String()
			if s.keyServer {
				who[i] += " (key server)"
			}
		}
		suite := ""
		if c.latest != nil && c.latest.key == key {
			suite = fmt.Sprintf(", %s, AN %d", c.latest.suite, c.latest.an)
		}
		up := fmt.Sprintf("%s receive and transmit under SAK %s%s, since frame %d", strings.Join(who, " and "), key, suite, c.usedFrom)
		return "up", append([]string{up}, why...)
	}
	if len(c.speakers) == 0 {
		return "down", why
	}
	why = append(why, c.judgePeers(present)...)
	return "down", append(why, c.judgeKeys(present)...)
}

// judgeICVs compares who proves to have which CAK.
func (c *ckn) judgeICVs() (why []string) {
	if !c.known {
		return nil
	}
	var right, wrong, mixed []*speaker
	agree := false // two that cannot be verified list each other live
	for _, s := range c.speakers {
		switch {
		case s.bad == 0 && s.ok > 0:
			right = append(right, s)
		case s.ok == 0 && s.bad > 0:
			wrong = append(wrong, s)
		case s.ok > 0:
			mixed = append(mixed, s)
		}
	}
	for _, a := range wrong {
		for _, b := range wrong {
			agree = agree || a != b && slices.Contains(a.live, b.mi)
		}
	}
	switch {
	case len(wrong) > 0 && len(right)+len(mixed) > 0:
		for _, s := range wrong {
			why = append(why, fmt.Sprintf("CAK differs: every ICV of %s (%s) is wrong under the CAK with which %s proves itself; configure the same CAK for this CKN at both ends",
				s.sci, count(s.bad, "MKPDU"), names(append(right, mixed...))))
		}
	case len(wrong) > 0 && agree:
		why = append(why, fmt.Sprintf("ICV bad: every MKPDU is wrong under the CAK given, yet %s accept each other: the CAK given is not theirs", names(wrong)))
	case len(wrong) > 0:
		why = append(why, fmt.Sprintf("ICV bad: every MKPDU of %s is wrong under the CAK given: the CAK given is another than theirs", names(wrong)))
	}
	for _, s := range mixed {
		why = append(why, fmt.Sprintf("ICV bad: %d of %d MKPDUs of %s: altered, or forged in its name", s.bad, s.ok+s.bad, s.sci))
	}
	for i, s := range c.speakers {
		for _, o := range c.speakers[:i] {
			if s.ca != nil && o.ca != nil && s.ca != o.ca {
				why = append(why, fmt.Sprintf("CAK differs: %s and %s prove themselves with two of the CAKs given for this CKN; configure the same at both ends", o.sci, s.sci))
			}
		}
	}
	return why
}

// judgePeers tells who does not hear whom.
func (c *ckn) judgePeers(present []*speaker) (why []string) {
	if len(present) == 1 {
		return []string{fmt.Sprintf("no live peer: %s is alone under this CKN", present[0].sci)}
	}
	for i, b := range present {
		for _, a := range present[:i] {
			aLists, bLists := slices.Contains(a.live, b.mi), slices.Contains(b.live, a.mi)
			aKnows, bKnows := aLists || slices.Contains(a.potential, b.mi), bLists || slices.Contains(b.potential, a.mi)
			switch {
			case aLists && bLists:
			case !aKnows && !bKnows:
				why = append(why, fmt.Sprintf("no live peer: %s and %s never list each other: their MKPDUs do not reach the other end, or are refused there", a.sci, b.sci))
			case !bKnows:
				why = append(why, oneWay(b, a))
			case !aKnows:
				why = append(why, oneWay(a, b))
			default:
				why = append(why, fmt.Sprintf("%s and %s know each other, but are not yet live to each other", a.sci, b.sci))
			}
		}
	}
	return why
}

func oneWay(deaf, heard *speaker) string {
	return fmt.Sprintf("one way: %s lists %s, but not the reverse: the MKPDUs of %s do not reach %s, or are refused there", heard.sci, deaf.sci, heard.sci, deaf.sci)
}

// judgeKeys tells what became of the SAK.
func (c *ckn) judgeKeys(present []*speaker) (why []string) {
	if c.plainText() {
		return []string{fmt.Sprintf("plain text: key server %s distributes no SAK but asks for unprotected traffic (zero-length Distributed SAK, frame %d)", c.latest.server, c.latest.frame)}
	}
	if !anyLive(present) {
		return nil // there cannot be a SAK
	}
	server, all255 := false, true
	for _, s := range present {
		server = server || s.keyServer
		all255 = all255 && s.priority == 255
		if !s.desired || s.capability == 0 {
			why = append(why, fmt.Sprintf("%s does not ask for MACsec (desired %v, capability %d)", s.sci, s.desired, s.capability))
		}
	}
	switch {
	case c.latest == nil && !server && all255:
		return append(why, "no key server: every member has priority 255, which never becomes it; give one end a lower priority")
	case c.latest == nil && !server:
		return append(why, "no key server: no member announces itself as it")
	case c.latest == nil:
		return append(why, "the key server distributed no SAK in this capture")
	}
	d := c.latest
	if !d.supported {
		why = append(why, fmt.Sprintf("cipher suite %s of SAK %s is none of 802.1AE-2018's", d.suite, d.key))
	}
	for _, s := range present {
		if slices.Contains(d.to, s.mi) && !s.received[d.key] {
			why = append(why, fmt.Sprintf("cipher refused: SAK %s (%s, frame %d) is for %s, which never announced to receive with it: its SecY does not have the suite, or could not install the SAK", d.key, d.suite, d.frame, s.sci))
		} else if s.received[d.key] && !s.uses(d.key) {
			why = append(why, fmt.Sprintf("%s does not transmit and receive under SAK %s at the end", s.sci, d.key))
		}
	}
	return why
}

// anyLive tells whether two of them are live to each other.
func anyLive(present []*speaker) bool {
	for _, a := range present {
		for _, b := range present {
			if slices.Contains(a.live, b.mi) && slices.Contains(b.live, a.mi) {
				return true
			}
		}
	}
	return false
}

func (c *ckn) plainText() bool { return c.latest != nil && c.latest.plainText }

// unspoken tells what is wrong between CKNs, or that MKA is absent.
func (in *Inspector) unspoken() (lines []string) {
	for _, a := range in.cas {
		switch {
		case in.ckns[a.ckn] != nil || in.cut.mka[a.ckn] > 0: // judged, or told among those cut
		case in.cut.mka[""]+in.cut.unknown > 0:
			lines = append(lines, fmt.Sprintf("CKN %x: no whole MKPDU of it in this capture", a.ckn))
		default:
			lines = append(lines, fmt.Sprintf("CKN %x: no MKPDU of it in this capture", a.ckn))
		}
	}
	if n := in.mka; n > 0 && len(in.order)+len(in.cut.mka) == 0 {
		lines = append(lines, fmt.Sprintf("%s in this capture, and none could be read as far as its CKN", count(n, "MKPDU")))
	}
	if in.mka+in.cut.unknown == 0 && len(in.bare) == 0 && !in.overlay() {
		lines = append(lines, "no MKPDU in this capture: MKA does not run on this port, or is filtered, or has another EtherType")
	}
	for i, b := range in.order {
		for _, a := range in.order[:i] {
			if len(a.speakers) == 1 && len(b.speakers) == 1 && a.speakers[0].sci != b.speakers[0].sci {
				lines = append(lines, fmt.Sprintf("CKN differs: %s speaks only under %x and %s only under %x; configure the same CKN at both ends",
					a.speakers[0].sci, a.octets, b.speakers[0].sci, b.octets))
			}
		}
	}
	return lines
}

// traffic sums up the frames that are not MKA.
func (in *Inspector) traffic() (lines []string) {
	t := &in.total
	switch all := t.ok + t.bad + t.noKey + t.cut; {
	case all == 0 && in.overlay():
	case all == 0:
		lines = append(lines, "MACsec frames: none")
	case t.ok == all:
		lines = append(lines, fmt.Sprintf("MACsec frames: %d, all verified", all))
	default:
		lines = append(lines, fmt.Sprintf("MACsec frames: %d: %s", all, t))
		for _, sci := range slices.SortedFunc(maps.Keys(in.macsec), func(a, b sa.SCI) int { return slices.Compare(a[:], b[:]) }) {
			if m := in.macsec[sci]; m.bad+m.noKey+m.cut > 0 {
				lines = append(lines, fmt.Sprintf("  of SCI %s: %s", sci, m))
			}
		}
	}
	lines = append(lines, in.tunnels.verdict()...)
	if len(in.clear) == 0 && in.tunnels.any() {
		return append(lines, "clear frames besides: none")
	}
	if len(in.clear) == 0 {
		return lines
	}
	types := slices.SortedFunc(maps.Keys(in.clear), func(a, b uint16) int {
		return cmp.Or(in.clear[b]-in.clear[a], int(a)-int(b))
	})
	sum, parts := 0, []string{}
	for i, e := range types {
		sum += in.clear[e]
		if i == 8 {
			parts = append(parts, "more")
		}
		if i >= 8 {
			continue
		}
		name := fmt.Sprintf("0x%04x", e)
		if e == 0 {
			name = "LLC"
		}
		parts = append(parts, fmt.Sprintf("%s %d", name, in.clear[e]))
	}
	lines = append(lines, fmt.Sprintf("clear frames besides: %d, not protected (%s)", sum, strings.Join(parts, ", ")))
	return append(lines, in.tunnels.beside()...)
}

// overlay tells a capture where there are tunnels and nothing of MACsec, nor a
// key of it to look for.
func (in *Inspector) overlay() bool {
	return in.tunnels.any() && in.mka == 0 && in.total == (tally{}) && len(in.cas)+len(in.bare) == 0
}

func (t *tally) String() string {
	s := fmt.Sprintf("%d verified, %d with a wrong ICV, %d under no known key", t.ok, t.bad, t.noKey)
	if t.cut > 0 {
		s += fmt.Sprintf(", %d cut before the ICV", t.cut)
	}
	return s
}

func names(list []*speaker) string {
	var n []string
	for _, s := range list {
		n = append(n, s.sci.String())
	}
	return strings.Join(n, " and ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// were is count with its verb.
func were(n int, what string) string {
	if n == 1 {
		return count(n, what) + " was"
	}
	return count(n, what) + " were"
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
