package console

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/provision"
)

// Sections are what is shown, the most urgent first.
func (s *State) Sections() []Section {
	urgent, rest := []Section{s.appliance()}, []Section{}
	add := func(now bool, p Section) {
		if now {
			urgent = append(urgent, p)
		} else {
			rest = append(rest, p)
		}
	}
	refused := slices.ContainsFunc(s.Outcomes, func(o provision.Outcome) bool {
		return o.Result == provision.Refused || o.Result == provision.Unfinished
	})
	add(!s.Config || refused, s.provisioning())
	urgent = append(urgent, s.daemon()...)
	if s.Status != nil {
		for i := range s.Status.Ports {
			p := &s.Status.Ports[i]
			add(p.State != status.Secured, s.port(p))
		}
		for i := range s.Status.Tunnels {
			t := &s.Status.Tunnels[i]
			add(t.State != status.Secured || len(t.ClearRoutes) > 0, tunnel(t))
		}
	}
	return append(append(urgent, rest...), s.network())
}

// page fills a Section, wrapped and in ASCII.
type page struct {
	Section
}

func section(title string) *page { return &page{Section{Title: ascii(title)}} }

// add adds a text behind a label; further lines are indented as far.
func (p *page) add(label, format string, args ...any) {
	if label != "" {
		label = fmt.Sprintf("%-9s ", label)
	}
	p.Lines = append(p.Lines, wrap("  "+label, ascii(fmt.Sprintf(format, args...)))...)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (s *State) appliance() Section {
	p := section("linkseal appliance " + s.Host)
	words := []string{"linkseal " + cmp.Or(s.Version, "of an unknown version")}
	if s.Image != "" {
		words = append(words, "image "+s.Image)
	}
	if s.Slot != "" {
		words = append(words, "slot "+s.Slot)
	}
	words = append(words, "Secure Boot "+cmp.Or(s.SecureBoot, "not known"))
	p.add("", "%s", strings.Join(words, ", "))
	if s.Trial != "" {
		p.add("update", "%s", s.Trial)
	}
	for _, f := range s.Faults {
		p.add("fault", "%s", f)
	}
	return p.Section
}

func (s *State) provisioning() Section {
	p := section("Provisioning")
	refused := false
	for _, o := range s.Outcomes {
		switch o.Result {
		case provision.Refused, provision.Unfinished:
			refused = true
			if o.Result == provision.Refused {
				p.add("REFUSED", "%s, at %s; nothing was changed", o.Source, stamp(o.At))
			} else {
				p.add("CUT", "%s, at %s; a part is not installed: the daemon does not start", o.Source, stamp(o.At))
			}
			for _, r := range o.Reasons {
				p.add("  why", "%s", r)
			}
			if o.Remedy != "" {
				p.add("  next", "%s", o.Remedy)
			}
		case provision.Empty:
			p.add("nothing", "on %s: %s", o.Source, strings.Join(o.Reasons, "; "))
		}
		if len(o.Ignored) > 0 {
			p.add("ignored", "on %s, for it is not understood: %s", o.Source, strings.Join(o.Ignored, "; "))
		}
	}
	switch {
	case s.Record.Digest != "":
		what := "configured"
		if !s.Record.Config() {
			what = "SSH keys taken"
		}
		p.add("done", "%s from %s at %s", what, s.Record.Source, stamp(s.Record.At))
		if s.Record.Config() && !s.Config {
			p.add("", "since then linkseal.yaml was removed: the next medium may provision anew")
		}
	case s.Config:
		p.add("done", "by hand: there is a linkseal.yaml that no medium brought")
	case !refused:
		p.add("NONE", "The appliance has no configuration and secures nothing.")
	}
	if !s.Config {
		s.howTo(p)
	}
	if s.SSH {
		p.add("SSH", "on, for root with an authorized key")
	} else {
		p.add("SSH", "off: no authorized_keys were provisioned")
	}
	return p.Section
}

// howTo says what to put where.
func (s *State) howTo(p *page) {
	p.add("next", "Attach one of these; it is taken by itself, and this screen says what became of it:")
	for _, line := range []string{
		"1. a USB stick (FAT, ext4) or ISO with the label LINKSEAL, with",
		"     linkseal.yaml      the configuration, at its root",
		"     keys/NAME.yaml     keys, as linkseal.yaml names them",
		"     authorized_keys    public SSH keys of root; without them no SSH",
		"     network/N.network  systemd-networkd's, if DHCP will not do",
		"2. a cloud-init NoCloud ISO with the label CIDATA: user-data, meta-data",
		"3. in Azure: custom data when the virtual machine is made",
	} {
		p.Lines = append(p.Lines, "    "+line)
	}
	var free []string
	for _, i := range s.Interfaces {
		free = append(free, i.Name)
	}
	if len(free) > 0 {
		p.add("", "Devices that linkseal.yaml may name: %s", strings.Join(free, ", "))
	}
}

// Sections that there are only while something is to be told.
const configuration, alarms = "Configuration", "Alarms"

// daemon tells of a daemon that does not answer, and of alarms that are of no one
// port.
func (s *State) daemon() []Section {
	if s.Status == nil {
		if !s.Config {
			return nil
		}
		p := section(configuration)
		if s.Starting {
			p.add("state", "there is a linkseal.yaml, and the daemon starts")
			return []Section{p.Section}
		}
		if len(s.Wrong) > 0 {
			p.add("REFUSED", "linkseal.yaml does not pass, and nothing of it runs")
			for _, w := range s.Wrong[:min(len(s.Wrong), 8)] {
				p.add("  why", "%s", w)
			}
			if n := len(s.Wrong) - 8; n > 0 {
				p.add("", "and %d more", n)
			}
			p.add("  next", "%s", s.mend())
			return []Section{p.Section}
		}
		p.add("state", "NOT KNOWN: the daemon does not answer: %s", cmp.Or(s.NoStatus, "no reason was given"))
		p.add("  next", "wait a minute; if this stays, start the machine again, and read the journal over SSH: journalctl -u linkseal")
		return []Section{p.Section}
	}
	p := section(alarms)
	for _, e := range s.Status.Reload {
		p.add("REFUSED", "a change of linkseal.yaml; the configuration before it runs: %s", e)
		p.add("  next", "%s", s.mend())
	}
	if s.Status.SealError != "" {
		p.add("KEYS", "are not sealed: a restart without their source would have none: %s", s.Status.SealError)
		p.add("  next", "see that the TPM is on in the firmware's setup, and that /var is not full")
	}
	if s.Status.ClockHeld != nil {
		p.add("CLOCK", "is wrong; keys are chosen as of %s", stamp(*s.Status.ClockHeld))
		p.add("  next", "set it in the firmware's setup, or see that a time server can be reached")
	}
	if m := s.Status.Metrics; m != nil && m.Error != "" {
		p.add("METRICS", "are not served at %s: %s", m.Listen, m.Error)
	}
	if len(p.Lines) == 0 {
		return nil
	}
	return []Section{p.Section}
}

func (s *State) mend() string {
	if s.SSH {
		return "mend /etc/linkseal/linkseal.yaml over SSH; linkseal check says when it is right"
	}
	return "there is no SSH to mend it: write the image anew, and provision it with a file that linkseal check passes"
}

func (s *State) network() Section {
	p := section("Network")
	used := map[string]string{}
	if s.Status != nil {
		for _, port := range s.Status.Ports {
			used[port.Device] = "port of " + port.Name
		}
	}
	const most = 16
	for i, n := range s.Interfaces {
		if i == most {
			p.add("", "and %d more", len(s.Interfaces)-most)
			break
		}
		state := "up"
		switch {
		case !n.Up:
			state = "down"
		case !n.Carrier:
			state = "no carrier"
		}
		what := slices.Clone(n.Addresses)
		if u := used[n.Name]; u != "" {
			what = append([]string{u}, what...)
		} else if len(what) == 0 && n.Carrier {
			what = append(what, "no address")
		}
		if n.MAC != "" { // by which it is found on the case, and in the switch
			what = append(what, n.MAC)
		}
		p.add(fmt.Sprintf("%-15s %s", n.Name, state), "%s", strings.Join(what, ", "))
	}
	if len(s.Interfaces) == 0 {
		p.add("", "there is no network interface: see that the machine has a card that Linux 6.1 knows")
	}
	return p.Section
}

// headline is the first line of a port or tunnel.
func headline(p *page, state string, since *time.Time, passing string) {
	label := map[string]string{status.Secured: "SECURED", status.Unsecured: "UNSECURED", status.Down: "DOWN"}[state]
	text := ""
	if state == status.Secured && since != nil {
		text = "since " + stamp(*since)
	}
	switch passing {
	case status.PassingClear:
		text += " PASSING CLEAR TRAFFIC (secure: should)"
	case status.PassingNone:
		text += " no traffic passes"
	}
	p.add(cmp.Or(label, strings.ToUpper(state)), "%s", strings.TrimSpace(text))
}
