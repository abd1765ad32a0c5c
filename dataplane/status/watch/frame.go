package watch

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Size is that of a terminal, in cells.
type Size struct{ Columns, Rows int }

// Block is the lines as plain text, with an empty line after them.
func Block(lines []Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.Text + "\n")
	}
	b.WriteByte('\n')
	return b.String()
}

// The control sequences of ECMA-48 that are used, and those of xterm for the
// alternate screen and the cursor.
const (
	home      = "\x1b[H"
	eraseLine = "\x1b[K"
	eraseRest = "\x1b[J"
	bold, red = "\x1b[1m", "\x1b[1;31m"
	normal    = "\x1b[0m"
	enter     = "\x1b[?1049h\x1b[?25l"
	leave     = "\x1b[?25h\x1b[?1049l"
)

// Frame draws the lines over what a terminal of size shows. What has no room is
// cut off, and the last row then says how much that is.
func Frame(lines []Line, size Size) string {
	hidden := 0
	if len(lines) > size.Rows {
		hidden = len(lines) - size.Rows + 1
		lines = lines[:max(size.Rows-1, 0)]
	}
	var b strings.Builder
	b.WriteString(home)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		text := cut(l.Text, size.Columns)
		switch l.Tone {
		case Head:
			text = bold + text + normal
		case Alarm:
			text = red + text + normal
		}
		b.WriteString(text + eraseLine)
	}
	if hidden > 0 && size.Rows > 0 {
		if len(lines) > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(bold + cut(fmt.Sprintf("... %d more lines; the window is too low for them", hidden), size.Columns) + normal + eraseLine)
	}
	b.WriteString(eraseRest)
	return b.String()
}

// cut is the first columns runes of text. The texts are of narrow ones.
func cut(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(columns, 0)])
}
