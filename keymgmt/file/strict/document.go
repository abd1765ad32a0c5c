package strict

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxSize is the longest file that is read, in octets.
	MaxSize = 1 << 20
	// What bounds nesting, for the parser recurses: levels of flow style,
	// collections that begin in one line, columns of indentation.
	maxFlow, maxInLine, maxIndent = 32, 2048, 256
	// maxProblems is how many are told one by one.
	maxProblems = 100
)

// Document is one file being read. It collects Problems.
type Document struct {
	file     string
	secret   bool
	lines    []string
	sources  map[int]*source // of the lines that were shown
	problems Problems        // up to maxProblems
	more     int             // that were found besides
	moreAt   Pos             // the first of them
	root     ast.Node
}

// Parse reads text, the content of file (a name for messages). It never
// fails: what is wrong is in Problems, and Root of a document that is not
// YAML has nothing in it. A secret document shows none of its content.
func Parse(file, text string, secret bool) *Document {
	d := &Document{file: file, secret: secret, sources: map[int]*source{}}
	switch {
	case len(text) > MaxSize:
		d.add(Pos{File: file}, fmt.Sprintf("the file has %d octets", len(text)), fmt.Sprintf("up to %d", MaxSize))
		return d
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		d.add(Pos{File: file}, "the file is not text", "YAML in UTF-8")
		return d
	}
	// YAML lets a file begin with a byte order mark (1.2, 5.2), as some editors
	// have it; columns count without it.
	text = strings.TrimPrefix(text, "\ufeff")
	if !secret {
		d.lines = strings.Split(text, "\n")
	}
	tokens := lexer.Tokenize(text)
	if !d.shallow(tokens) {
		return d
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return d
	}
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.DirectiveType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		d.add(Pos{File: file, Line: 1, Column: 1}, "the file is empty", "a mapping of keys to values")
	case len(bodies) > 1:
		d.add(d.at(bodies[1]), "a second YAML document", "one document a file")
	default:
		d.root = bodies[0]
	}
	return d
}

// shallow refuses nesting that would exhaust the parser's stack.
func (d *Document) shallow(tokens token.Tokens) bool {
	flow, block, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.CollectEntryType:
			block = 0 // in flow style the next entry does not nest in the last
		case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType:
			// Block collections nest by column, or in one line.
			if flow == 0 && t.Position.Line != line {
				line, block = t.Position.Line, 0
			}
			block++
		}
		limit := ""
		switch {
		case flow > maxFlow:
			limit = fmt.Sprintf("up to %d levels of [ and {", maxFlow)
		case block > maxInLine:
			limit = fmt.Sprintf("up to %d collections that begin in one line", maxInLine)
		case t.Position.IndentNum > maxIndent:
			limit = fmt.Sprintf("up to %d columns of indentation", maxIndent)
		}
		if limit != "" {
			d.add(d.pos(t), "too deeply nested", limit)
			return false
		}
	}
	return true
}

// syntax reports what the YAML library refuses. Its own text is shown only
// where it is constant: it quotes the file otherwise.
func (d *Document) syntax(err error) {
	pos, what := Pos{File: d.file}, "not YAML"
	var ye yaml.Error
	if errors.As(err, &ye) {
		if t := ye.GetToken(); t != nil {
			pos = d.pos(t)
		}
		if msg := ye.GetMessage(); !d.secret || !strings.ContainsAny(msg, "\"`") {
			what += ": " + Hide(msg)
		}
	}
	d.add(pos, what, "YAML, two spaces a level, no tabs")
}

// Problems are what was found, in order of place; of very many only the first
// that were found, and how many more there are.
func (d *Document) Problems() Problems {
	list := slices.Clone(d.problems)
	if d.more > 0 {
		list = append(list, &Problem{Pos: d.moreAt, What: fmt.Sprintf("%d more problems, the first of them here", d.more), Accepted: "mend those above, and check again", rest: true})
	}
	list.Sort()
	return list
}

// Add reports what is wrong at pos.
func (d *Document) Add(pos Pos, what, accepted string) { d.add(pos, what, accepted) }

func (d *Document) add(pos Pos, what, accepted string) {
	if len(d.problems) >= maxProblems {
		if d.more++; d.more == 1 {
			d.moreAt = pos
		}
		return
	}
	d.problems = append(d.problems, d.Problem(pos, what, accepted))
}

// Problem is what is wrong at pos, with its line, as something for the caller
// to report.
func (d *Document) Problem(pos Pos, what, accepted string) *Problem {
	p := &Problem{Pos: pos, What: what, Accepted: shorten(accepted)}
	if d.secret {
		return p
	}
	p.What = shorten(Hide(what))
	if n := pos.Line; n >= 1 && n <= len(d.lines) {
		if d.sources[n] == nil {
			d.sources[n] = newSource(strings.TrimRight(d.lines[n-1], "\r"))
		}
		p.Source, p.SourceColumn = d.sources[n].around(pos.Column)
	}
	return p
}

func (d *Document) pos(t *token.Token) Pos {
	return Pos{File: d.file, Line: t.Position.Line, Column: t.Position.Column}
}

// at is where a node begins: a mapping at its first key, not at its colon.
func (d *Document) at(n ast.Node) Pos {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return d.at(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return d.at(n.Key)
	}
	if t := n.GetToken(); t != nil {
		return d.pos(t)
	}
	return Pos{File: d.file}
}
