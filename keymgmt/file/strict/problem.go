package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a file. Line and Column count from 1, columns in
// characters; a zero Line is the file as a whole.
type Pos struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is FILE:LINE:COL always, which is what scripts split: a file as a
// whole is its beginning.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File + ":1:1"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing wrong with a file.
type Problem struct {
	Pos
	// What is wrong, and what is Accepted instead.
	What     string `json:"what"`
	Accepted string `json:"accepted"`
	// Source is the line, or the part of a long one about the column, with
	// whatever looks like a key hidden; empty for a file that holds keys, of
	// which no line is ever shown. SourceColumn is where Column is in it.
	Source       string `json:"source,omitempty"`
	SourceColumn int    `json:"source_column,omitempty"`

	rest bool // stands for all that are not shown
}

// Error is one line: FILE:LINE:COL: what is wrong; what is accepted.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s: %s; accepted: %s", p.Pos, p.What, p.Accepted)
}

// Text is Error with the source line beneath and a mark under the column.
func (p *Problem) Text() string {
	if p.Source == "" {
		return p.Error() + "\n"
	}
	var pad strings.Builder
	for i, r := range []rune(p.Source) {
		if i >= p.SourceColumn-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		pad.WriteRune(r)
	}
	return fmt.Sprintf("%s\n    %s\n    %s^\n", p.Error(), p.Source, pad.String())
}

// Problems are all things wrong, as one error.
type Problems []*Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err is ps as an error: nil if there is none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort orders by line and column, files in the order of their first problem.
// What stands for those not shown is a file's last.
func (ps Problems) Sort() {
	order := map[string]int{}
	for _, p := range ps {
		if _, ok := order[p.File]; !ok {
			order[p.File] = len(order)
		}
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(last(a), last(b)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

func last(p *Problem) int {
	if p.rest {
		return 1
	}
	return 0
}
