package console

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// ascii is s as every terminal shows it, and none obeys it.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
}

// wrap breaks text into lines of Width columns, the first of which begins with
// indent, the others with as many spaces.
func wrap(indent, text string) (lines []string) {
	room := Width - len(indent)
	if room < 20 { // a label that is too long has a line to itself
		lines, indent = append(lines, cut(indent)), strings.Repeat(" ", 12)
		room = Width - len(indent)
	}
	for first := true; first || text != ""; first = false {
		at := len(text)
		if at > room {
			if at = strings.LastIndexByte(text[:room+1], ' '); at <= 0 {
				at = room
			}
		}
		lines = append(lines, strings.TrimRight(indent+text[:at], " "))
		text = strings.TrimLeft(text[at:], " ")
		indent = strings.Repeat(" ", len(indent))
	}
	return lines
}

func cut(s string) string { return strings.TrimRight(s[:min(len(s), Width)], " ") }

// Lines are the sections one below the other.
func Lines(sections []Section) (lines []string) {
	for i, s := range sections {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, cut(s.Title))
		lines = append(lines, s.Lines...)
	}
	return lines
}

// passing are durations, which change by themselves and say nothing new.
var passing = regexp.MustCompile(`\b[0-9]+(\.[0-9]+)?(ms|s|m|h|d)([0-9]+(\.[0-9]+)?(ms|s|m|h))*\b`)

// key is a section without what changes by itself.
func (s Section) key() string {
	return passing.ReplaceAllString(s.Title+"\n"+strings.Join(s.Lines, "\n"), "#")
}

// Changed are the sections of now that were not in before, each as it is now, and
// the titles of those that are gone.
func Changed(before, now []Section) (changed []Section, gone []string) {
	known := map[string]bool{}
	for _, s := range before {
		known[s.key()] = true
		if !slices.ContainsFunc(now, func(n Section) bool { return n.Title == s.Title }) {
			gone = append(gone, s.Title)
		}
	}
	for _, s := range now {
		if !known[s.key()] {
			changed = append(changed, s)
		}
	}
	return changed, gone
}

// Screen redraws a screen of so many rows from its upper left corner.
func Screen(lines []string, rows int) string {
	if rows > 2 && len(lines) > rows-1 {
		lines = append(slices.Clone(lines[:rows-2]), "(more: linkseal status over SSH, and the serial line)")
	}
	var b strings.Builder
	b.WriteString("\x1b[?25l\x1b[H") // no cursor: nothing is typed here
	for _, l := range lines {
		b.WriteString(l + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// Log is what a serial line gets when something has changed: it is read as a log.
func Log(changed []Section, gone []string, now time.Time) string {
	var b strings.Builder
	b.WriteString("--- linkseal, " + stamp(now) + " ---\n")
	for _, l := range Lines(changed) {
		b.WriteString(l + "\n")
	}
	for _, title := range gone {
		what := "gone"
		switch title {
		case configuration: // it is told of while the daemon does not answer
			what = "the daemon runs it"
		case alarms:
			what = "none now"
		}
		b.WriteString(cut(title+": "+what) + "\n")
	}
	b.WriteString("\n")
	return b.String()
}
