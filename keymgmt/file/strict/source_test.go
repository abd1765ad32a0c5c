package strict

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// marked is the character of a problem's source over the mark.
func marked(t *testing.T, p *Problem) string {
	t.Helper()
	lines := strings.Split(p.Text(), "\n")
	if len(lines) != 4 || len(lines[2]) == 0 {
		t.Fatalf("no source in %q", p.Text())
	}
	source := []rune(lines[1])
	at := utf8.RuneCountInString(lines[2]) - 1
	if at >= len(source) {
		return ""
	}
	return string(source[at])
}

// The mark is under the column also where a key before it is hidden, and
// where the line is too long to be shown.
func TestMark(t *testing.T) {
	long := strings.Repeat("ä, ", 1000)
	for _, tc := range []struct{ name, line, mark string }{
		{"plain", "name: x, Z", "Z"},
		{"at the beginning", "Z" + long, "Z"},
		{"behind a key", "name: " + leak + leak + " Z", "Z"},
		{"behind a short one", "{psk: 'a', x: Z}", "Z"},
		{"behind two", "{psk: 'a', psk: \"bcdefghijklmn\", x: Z}", "Z"},
		{"in a key", "{psk: 'aZa', x: 1}", "["},
		{"in the middle", long + "Z" + long, "Z"},
		{"near the beginning", "äää Z" + long, "Z"},
		{"near the end", long + "Z, x", "Z"},
		{"at the end", long + "Z", "Z"},
		{"in the middle, behind a key", "psk: '" + long + "', " + long + "Z" + long, "Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := Parse("f.yaml", tc.line, false)
			column := utf8.RuneCountInString(tc.line[:strings.Index(tc.line, "Z")]) + 1
			p := d.Problem(Pos{File: "f.yaml", Line: 1, Column: column}, "what", "that")
			if got := marked(t, p); got != tc.mark {
				t.Errorf("the mark is under %q, want %q:\n%s", got, tc.mark, p.Text())
			}
			if n := utf8.RuneCountInString(p.Source); n > maxSource+2 {
				t.Errorf("%d characters are shown", n)
			}
			if p.Column != column {
				t.Errorf("column %d, want %d", p.Column, column)
			}
		})
	}
	d := Parse("f.yaml", "x\nabc", false)
	if p := d.Problem(Pos{File: "f.yaml", Line: 2, Column: 9}, "what", "that"); marked(t, p) != "" {
		t.Errorf("behind the line: %s", p.Text())
	}
}

// A file that is one long line, or wrong everywhere, is told of in little.
func TestManyProblems(t *testing.T) {
	const n = 3000
	for name, text := range map[string]string{
		"a line":     "{" + strings.Repeat("nmae: {}, ", n) + "}",
		"many lines": strings.Repeat("nmae: {}\n", n),
	} {
		_, problems := read(text, false)
		if len(problems) != maxProblems+1 {
			t.Fatalf("%s: %d problems", name, len(problems))
		}
		size := 0
		for _, p := range problems {
			size += len(p.Text())
		}
		if size > 1<<17 {
			t.Errorf("%s: %d octets of text", name, size)
		}
		last := problems[maxProblems]
		if want := fmt.Sprintf("%d more problems, the first of them here", n-maxProblems); last.What != want {
			t.Errorf("%s: the last is %v, want %s", name, last, want)
		}
	}
	_, problems := read("size: "+strings.Repeat("x", 10000)+leak+strings.Repeat("x", 10000), false)
	if text := problems[0].Text(); len(text) > 1200 || strings.Contains(text, leak[:6]) {
		t.Errorf("a long scalar: %d octets, %s", len(text), text)
	}
}

// JSON in one line is wide, not deep.
func TestWideLine(t *testing.T) {
	d := Parse("f.yaml", `{"list": [`+strings.Repeat(`{"x": {"y": 1}}, `, 3000)+`{"x": 2}]}`, false)
	list := d.Root().Fields("the file", "list").Get("list").List("element", "a list")
	if ps := d.Problems(); len(list) != 3001 || len(ps) != 0 {
		t.Errorf("%d elements, %v", len(list), ps)
	}
}
