package strict

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Value is one value of a document and the name that messages give it. The
// zero Value is absent: its readers return zero and report nothing.
type Value struct {
	doc  *Document
	node ast.Node
	name string
	at   Pos
	key  Pos // of its key, if it has one
}

// Root is the document's top level.
func (d *Document) Root() Value {
	if d.root == nil {
		return Value{}
	}
	return Value{doc: d, node: d.root, name: "the top level", at: d.at(d.root)}
}

// Given tells whether the value is there at all.
func (v Value) Given() bool { return v.doc != nil }

// Pos is where the value is.
func (v Value) Pos() Pos { return v.at }

// Name is what messages call the value.
func (v Value) Name() string { return v.name }

// Wrong reports the value: what is wrong, then what is accepted. what must not
// quote a secret document.
func (v Value) Wrong(what, accepted string) {
	if v.Given() {
		v.doc.add(v.at, what, accepted)
	}
}

// Refuse reports the value by its name and text; a secret document's text is
// left out.
func (v Value) Refuse(accepted string) {
	text, ok := v.plain()
	switch {
	case !v.Given():
	case !ok:
		v.Wrong(fmt.Sprintf("%s is %s", v.name, kind(v.node)), accepted)
	case v.doc.secret:
		v.Wrong(v.name+" is malformed", accepted)
	default:
		v.Wrong(fmt.Sprintf("%s: %q", v.name, text), accepted)
	}
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "empty"
	case *ast.AnchorNode, *ast.AliasNode:
		return "a YAML anchor or alias"
	case *ast.TagNode:
		return "a YAML tag"
	case *ast.LiteralNode:
		return "a block scalar"
	}
	return "a scalar"
}

// plain is a scalar as it is written, quotes and escapes resolved.
func (v Value) plain() (string, bool) {
	switch v.node.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return v.node.GetToken().Value, true
	}
	return "", false
}

// Plain is a scalar as it is written, the empty one too; false for anything
// else, and nothing is reported.
func (v Value) Plain() (string, bool) { return v.plain() }

// Block is Plain, or the text of a block scalar: what a file embeds in another.
func (v Value) Block() (string, bool) {
	if n, ok := v.node.(*ast.LiteralNode); ok && n.Value != nil {
		return n.Value.Value, true
	}
	return v.plain()
}

// Text is a scalar as it is written; false, reported, for anything else and
// for the empty string.
func (v Value) Text(accepted string) (string, bool) {
	if !v.Given() {
		return "", false
	}
	s, ok := v.plain()
	if !ok || s == "" {
		v.Refuse(accepted)
		return "", false
	}
	return s, true
}

// OneOf is one of names; def if absent or refused.
func (v Value) OneOf(def string, names ...string) string {
	s, ok := v.Text(strings.Join(names, ", "))
	if !ok {
		return def
	}
	if !slices.Contains(names, s) {
		v.Refuse(strings.Join(names, ", "))
		return def
	}
	return s
}

// Bool is true or false; def if absent or refused.
func (v Value) Bool(def bool) bool {
	if !v.Given() {
		return def
	}
	if _, ok := v.node.(*ast.BoolNode); ok {
		switch s, _ := v.plain(); s {
		case "true":
			return true
		case "false":
			return false
		}
	}
	v.Refuse("true, false")
	return def
}

// Int is a decimal number from lo to hi; def if absent or refused.
func (v Value) Int(def, lo, hi int64) int64 {
	accepted := fmt.Sprintf("a number from %d to %d", lo, hi)
	s, ok := v.Text(accepted)
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < lo || n > hi || strings.HasPrefix(s, "+") {
		v.Refuse(accepted)
		return def
	}
	return n
}

// Duration is a duration that is not negative; def if absent or refused.
func (v Value) Duration(def time.Duration) time.Duration {
	const accepted = "a duration as 2s, 500ms, 1h30m or 30d"
	s, ok := v.Text(accepted)
	if !ok {
		return def
	}
	d, err := ParseDuration(s)
	if err != nil {
		v.Refuse(accepted)
		return def
	}
	return d
}

// Time is an instant with its zone; zero if absent or refused.
func (v Value) Time() time.Time {
	const accepted = "a time as 2026-11-01T00:00:00Z or 2026-11-01T00:00:00+01:00"
	s, ok := v.Text(accepted)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.IsZero() {
		v.Refuse(accepted)
		return time.Time{}
	}
	return t.UTC()
}

// Addr is an IP address; zero if absent or refused.
func (v Value) Addr() netip.Addr {
	const accepted = "an IPv4 or IPv6 address"
	s, ok := v.Text(accepted)
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Is4In6() {
		v.Refuse(accepted)
		return netip.Addr{}
	}
	return a
}

// IsEmptyText tells a scalar that is written as the empty string ("").
func (v Value) IsEmptyText() bool {
	s, ok := v.plain()
	return ok && s == ""
}
