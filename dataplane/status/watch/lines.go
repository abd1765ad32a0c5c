package watch

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/linkseal/linkseal/dataplane/status"
)

// Lines are those of the view: the ports and what is wrong first, since a window
// may be low.
func (v View) Lines() []Line {
	var b builder
	if v.Lost != nil {
		b.line(Alarm, fmt.Sprintf("NO ANSWER at %s: %v; tried again", stamp(v.Now), v.Lost))
	}
	if v.Last == nil {
		return b.lines
	}
	s := &v.Last.Status
	title := fmt.Sprintf("%s, linkseal %s, %s", s.Name, s.Version, stamp(v.Last.At))
	switch {
	case v.Lost != nil:
		title += ", the last that is known"
	case v.Before != nil:
		title += fmt.Sprintf(", rates of the last %.1f s", v.Last.At.Sub(v.Before.At).Seconds())
	}
	b.line(Plain, title)
	if len(s.Ports)+len(s.Tunnels) == 0 {
		b.line(Plain, "no ports")
	}
	b.table(v.ports())
	b.table(v.tunnels())
	if alarms := alarms(s, v.Last.At); len(alarms) > 0 {
		b.line(Plain, "")
		for _, a := range alarms {
			b.line(Alarm, a)
		}
	}
	b.table(v.members())
	b.table(v.flows())
	b.table(v.counted())
	b.table(v.events())
	b.table(v.accounts())
	b.table(v.traffic())
	b.table(v.sas())
	b.table(v.participants())
	b.table(v.keys())
	return b.lines
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// builder gathers lines.
type builder struct{ lines []Line }

func (b *builder) line(tone Tone, text string) { b.lines = append(b.lines, Line{clean(text), tone}) }

// table is rows of cells below their heads. A head that begins with > has its
// column to the right.
type table struct {
	heads []string
	rows  [][]string
	alarm map[int]bool // rows that are alarms
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// table adds t with an empty line before it, if it has rows.
func (b *builder) table(t table) {
	if len(t.rows) == 0 {
		return
	}
	heads, right := make([]string, len(t.heads)), make([]bool, len(t.heads))
	for i, h := range t.heads {
		heads[i], right[i] = strings.TrimPrefix(h, ">"), strings.HasPrefix(h, ">")
	}
	width := make([]int, len(heads))
	for _, row := range append([][]string{heads}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(clean(cell)))
		}
	}
	text := func(row []string) string {
		var line strings.Builder
		for i, cell := range row {
			cell = clean(cell)
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		return strings.TrimRight(line.String(), " ")
	}
	b.line(Plain, "")
	b.line(Head, text(heads))
	for i, row := range t.rows {
		tone := Plain
		if t.alarm[i] {
			tone = Alarm
		}
		b.line(tone, text(row))
	}
}

// clean makes what a terminal would obey, or what is no text, visible: texts
// come from peers and vaults too.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}

// alarms are what is wrong, each with what is known to do about it.
func alarms(s *status.Status, now time.Time) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, p := range s.Ports {
		if p.UnsecuredReason != "" {
			add("%s: %s", p.Name, p.UnsecuredReason)
		}
		if p.Remedy != "" {
			add("%s: remedy: %s", p.Name, p.Remedy)
		}
		if p.Problem != "" && p.Problem != p.UnsecuredReason {
			add("%s: problem: %s", p.Name, p.Problem)
		}
		if p.KeysError != "" {
			add("%s: keys: %s", p.Name, p.KeysError)
		}
		if p.StateError != "" {
			add("%s: state not saved: %s", p.Name, p.StateError)
		}
		if p.AccountError != "" {
			add("%s: account: %s", p.Name, p.AccountError)
		}
		if p.TagsError != "" {
			add("%s: circuits and classes cannot be read: %s", p.Name, p.TagsError)
		}
		if e := p.Enforcement; e != nil && !e.Guard {
			add("%s: no guard, so that sockets may transmit past its filter: %s", p.Name, cmp.Or(e.GuardError, "it is put back"))
		}
	}
	for i := range s.Tunnels {
		tunnelAlarms(&s.Tunnels[i], add)
	}
	for _, k := range s.Keychains {
		if k.Error != "" {
			add("keychain %s: %s", k.Name, k.Error)
		}
		if k.Sealed {
			add("keychain %s: its keys are those that were sealed", k.Name)
		}
		if k.Rotation != nil && k.Rotation.Error != "" {
			add("keychain %s: no rotation: %s", k.Name, k.Rotation.Error)
		}
		if k.Vault == nil {
			continue
		}
		for _, f := range k.Vault.Faults {
			add("keychain %s: %s for %s: %s", k.Name, words(f.Kind), status.Age(now.Sub(f.Since)), f.Text)
		}
		for _, r := range k.Vault.Refused {
			add("keychain %s: refused: %s", k.Name, r)
		}
	}
	if s.SealError != "" {
		add("keys are not sealed: %s", s.SealError)
	}
	if s.ClockHeld != nil {
		add("the clock is wrong; keys are chosen as of %s", stamp(*s.ClockHeld))
	}
	for _, e := range s.Reload {
		add("the last reload failed: %s", e)
	}
	if s.Memory != nil && s.Memory.Problem != "" {
		add("keys in memory: %s", s.Memory.Problem)
	}
	if s.Metrics != nil && s.Metrics.Error != "" {
		add("metrics are not served at %s: %s", s.Metrics.Listen, s.Metrics.Error)
	}
	return all
}

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
