package strict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Fields are the values of a mapping by their keys.
type Fields struct {
	of     Value
	values map[string]Value
	order  []string
}

// Fields reads a mapping that has no keys but known. Others are reported with
// the nearest known one. What names the mapping in messages.
func (v Value) Fields(what string, known ...string) Fields {
	f := v.mapping(what, "the keys "+strings.Join(known, ", "))
	for _, k := range f.order {
		if slices.Contains(known, k) {
			continue
		}
		val, name := f.values[k], fmt.Sprintf("unknown key %q", k)
		if v.doc.secret {
			name = "unknown key"
		}
		name += " in " + what
		if near := nearest(k, known); near != "" {
			name += fmt.Sprintf(" (did you mean %s?)", near)
		}
		v.doc.add(val.key, name, strings.Join(known, ", "))
	}
	return f
}

// Map reads a mapping whose keys are names that the file chooses.
func (v Value) Map(what, accepted string) Fields { return v.mapping(what, accepted) }

func (v Value) mapping(what, accepted string) Fields {
	f := Fields{of: v, values: map[string]Value{}}
	if !v.Given() {
		return f
	}
	f.of.name = what
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		v.name = what
		v.Refuse(accepted)
		return f
	}
	for _, p := range pairs {
		key, ok := Value{doc: v.doc, node: p.Key, at: v.doc.at(p.Key)}.plain()
		if !ok {
			v.doc.add(v.doc.at(p.Key), "a key of "+what+" is not plain text", accepted)
			continue
		}
		if first, dup := f.values[key]; dup {
			name := fmt.Sprintf("%q", key)
			if v.doc.secret {
				name = "a key"
			}
			v.doc.add(v.doc.at(p.Key), fmt.Sprintf("%s is given twice in %s (first in line %d)", name, what, first.key.Line), "each key once")
			continue
		}
		val := Value{doc: v.doc, node: p.Value, name: key, at: v.doc.at(p.Value), key: v.doc.at(p.Key)}
		if _, empty := p.Value.(*ast.NullNode); empty {
			val.at = val.key // its own token may be on another line
		}
		f.values[key] = val
		f.order = append(f.order, key)
	}
	return f
}

// Get is the value of key, absent if it is not in the mapping.
func (f Fields) Get(key string) Value { return f.values[key] }

// Has tells whether key is in the mapping.
func (f Fields) Has(key string) bool { return f.values[key].Given() }

// Keys are the keys in the order of the file.
func (f Fields) Keys() []string { return f.order }

// KeyPos is where key itself is written.
func (f Fields) KeyPos(key string) Pos { return f.values[key].key }

// Of is the mapping as a value.
func (f Fields) Of() Value { return f.of }

// Need is Get, and reports key if it is absent.
func (f Fields) Need(key, accepted string) Value {
	v := f.values[key]
	if !v.Given() && f.of.Given() && f.isMapping() {
		f.of.doc.add(f.of.at, fmt.Sprintf("%s has no %s", f.of.name, key), key+": "+accepted)
	}
	return v
}

func (f Fields) isMapping() bool {
	switch f.of.node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

// List reads a list; each element is named what.
func (v Value) List(what, accepted string) []Value {
	if !v.Given() {
		return nil
	}
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		v.Refuse(accepted)
		return nil
	}
	out := make([]Value, 0, len(n.Values))
	for _, e := range n.Values {
		out = append(out, Value{doc: v.doc, node: e, name: what, at: v.doc.at(e)})
	}
	return out
}
