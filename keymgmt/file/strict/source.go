package strict

import "unicode/utf8"

const (
	// maxSource is how much of a line is shown, in characters: the file may
	// be one line.
	maxSource = 200
	// maxText is how long a message may be that quotes the file.
	maxText = 500
)

// source is a line of a file with its secrets hidden.
type source struct {
	shown []rune
	hides []span // in characters of the line as it is
}

func newSource(line string) *source {
	s := &source{}
	at, chars := 0, 0
	for _, h := range secrets(line) {
		before := []rune(line[at:h.from])
		s.shown = append(append(s.shown, before...), []rune(hidden)...)
		chars += len(before)
		n := utf8.RuneCountInString(line[h.from:h.to])
		s.hides = append(s.hides, span{chars, chars + n})
		chars += n
		at = h.to
	}
	s.shown = append(s.shown, []rune(line[at:])...)
	return s
}

// around is the part of the line about a column, and the column in it. What is
// hidden has the column of its beginning.
func (s *source) around(column int) (text string, at int) {
	at = max(column-1, 0)
	shift := 0
	for _, h := range s.hides {
		if h.from >= at {
			break
		}
		if at < h.to {
			at = h.from
			break
		}
		shift += len(hidden) - (h.to - h.from)
	}
	at = min(at+shift, len(s.shown))
	if len(s.shown) <= maxSource {
		return string(s.shown), at + 1
	}
	from := min(max(at-maxSource/2, 0), len(s.shown)-maxSource)
	text, at = string(s.shown[from:from+maxSource]), at-from
	if from > 0 {
		text = "…" + text
		at++
	}
	if from+maxSource < len(s.shown) {
		text += "…"
	}
	return text, at + 1
}

// shorten cuts the middle out of a text that is too long for a message.
func shorten(text string) string {
	if len(text) <= maxText {
		return text
	}
	r := []rune(text)
	if len(r) <= maxText {
		return text
	}
	return string(r[:maxText*2/3]) + "…" + string(r[len(r)-maxText/3:])
}
