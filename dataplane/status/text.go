package status

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/linkseal/linkseal/dataplane/account"
)

// Write writes s for people: one line a port, and under it what is worth
// knowing of it. now is what ages are counted to.
func (s Status) Write(w io.Writer, now time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, linkseal %s\n", s.Name, s.Version)
	for _, e := range s.Reload {
		fmt.Fprintf(&b, "the last reload failed, the configuration before it runs: %s\n", e)
	}
	if s.Memory != nil && s.Memory.Problem != "" {
		fmt.Fprintf(&b, "keys in memory: %s\n", s.Memory.Problem)
	}
	if s.Metrics != nil && s.Metrics.Error != "" {
		fmt.Fprintf(&b, "metrics are not served at %s, which is tried again: %s\n", s.Metrics.Listen, s.Metrics.Error)
	}
	if len(s.Ports)+len(s.Tunnels) == 0 {
		b.WriteString("no ports\n")
	}
	for _, p := range s.Ports {
		b.WriteByte('\n')
		p.write(&b, now)
	}
	for _, t := range s.Tunnels {
		b.WriteByte('\n')
		t.write(&b, now)
	}
	if s.SealError != "" {
		fmt.Fprintf(&b, "\nKEYS ARE NOT SEALED, so that a restart without their source would have none: %s\n", s.SealError)
	}
	if s.ClockHeld != nil {
		fmt.Fprintf(&b, "\nTHE CLOCK IS WRONG; keys are chosen as of %s\n", s.ClockHeld.UTC().Format(time.RFC3339))
	}
	for _, k := range s.Keychains {
		b.WriteByte('\n')
		k.write(&b, now)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p Port) write(b *strings.Builder, now time.Time) {
	state := p.State
	if p.SecuredSince != nil {
		state += " for " + Age(now.Sub(*p.SecuredSince))
	}
	if p.Passing == PassingClear {
		state += ", PASSING CLEAR TRAFFIC"
	}
	fmt.Fprintf(b, "%s: %s\n", p.Name, state)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", label, fmt.Sprintf(format, args...))
	}
	if p.UnsecuredReason != "" {
		line("why", "%s", p.UnsecuredReason)
	}
	if p.Remedy != "" {
		line("remedy", "%s", p.Remedy)
	}
	if p.Problem != "" && p.Problem != p.UnsecuredReason {
		line("problem", "%s", p.Problem)
	}
	if p.StateError != "" {
		line("state", "not saved, so that a restart would not know its SAs: %s", p.StateError)
	}
	if p.KeysError != "" {
		line("keys", "%s", p.KeysError)
	}
	line("interface", "%s on %s, %s, secure: %s", p.Interface, p.Device, p.Dataplane, p.Secure)
	if p.DataplaneReason != "" {
		line("dataplane", "%s, %s", p.Dataplane, p.DataplaneReason)
	}
	protection := "encrypted"
	if !p.Encrypt {
		protection = "integrity only"
	}
	line("cipher", "%s, %s", p.Cipher, protection)
	if p.SCI != "" {
		line("sci", "%s", p.SCI)
	}
	for _, m := range p.Participants {
		m.lines(line)
	}
	if p.Tx != nil {
		line("tx", "an %d, pn %d", p.Tx.AN, p.Tx.PN)
	}
	for _, r := range p.Rx {
		line("rx", "an %d, pn %d, from %s", r.AN, r.PN, r.SCI)
	}
	p.account(line)
	if n := p.NoAccount; n != nil && n.Packets > 0 {
		line("no key", "%d MACsec frames, %d octets, of SAs that are not there", n.Packets, n.Octets)
	}
	counters(line, "counters", p.Counters)
	counters(line, "filter", p.Filter)
	for i, e := range p.Events[:min(len(p.Events), 3)] {
		line([]string{"dropped", "", ""}[i], "%s", e.text(now))
	}
	if p.Enforcement != nil {
		line("enforced", "%s", p.Enforcement)
	}
	circuits(line, "outer", p.OuterCircuits, now)
	p.Tagging.lines(line, now)
	t.Flush()
}

// account states what left the port under the key that encodes: now, and before the
// port was found open.
func (p Port) account(line func(label, format string, args ...any)) {
	if p.AccountError != "" {
		line("account", "%s", p.AccountError)
	}
	protected := "encrypted"
	if !p.Encrypt {
		protected = "with integrity only"
	}
	for i := range p.Accounts {
		a := &p.Accounts[i]
		if a.Direction == account.Egress && p.Tx != nil && a.Key == p.Tx.Key && (a.To == nil || a.OpenSince != nil) {
			line("account", "%s", a.State(protected))
		}
	}
}

func (m Participant) lines(line func(label, format string, args ...any)) {
	var roles []string
	if m.Principal {
		roles = append(roles, "principal")
	}
	if m.KeyServer {
		roles = append(roles, "key server")
	}
	if m.Held {
		roles = append(roles, "HELD: expired or out of the keychain, and carries traffic until another key does")
	}
	line("ckn", "%s", strings.Join(append([]string{m.CKN}, roles...), ", "))
	for _, peer := range m.Peers {
		state := "live"
		if !peer.Live {
			state = "potential"
		}
		if peer.Suspended {
			state += ", MKA suspended"
		}
		line("  peer", "%s, %s", peer.SCI, state)
	}
}

// counters lists those that are not zero.
func counters(line func(label, format string, args ...any), label string, c map[string]uint64) {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] != 0 {
			words = append(words, fmt.Sprintf("%s %d", name, c[name]))
		}
	}
	for chunk := range slices.Chunk(words, 4) {
		line(label, "%s", strings.Join(chunk, ", "))
		label = ""
	}
}

// Age is a duration to the second, in the two greatest units: 3d4h, 2m10s. One
// below 0 is 0s.
func Age(d time.Duration) string {
	d = max(d, 0)
	switch day := 24 * time.Hour; {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
