package conn

import (
	"strconv"
	"strings"
)

// Section is an ordered section of vici: its values are Text, List or Section.
type Section []Item

// Item is a key with its value.
type Item struct {
	Key   string
	Value Value
}

// Value is a Text, List or Section.
type Value interface{ value() }

// Text is a value: octets, not text alone; a certificate is one.
type Text string

// List is a list of values.
type List []string

func (Text) value()    {}
func (List) value()    {}
func (Section) value() {}

// Get returns the value at a path of keys, nil if there is none.
func (s Section) Get(path ...string) Value {
	for _, i := range s {
		if i.Key != path[0] {
			continue
		}
		if len(path) == 1 {
			return i.Value
		}
		if below, ok := i.Value.(Section); ok {
			return below.Get(path[1:]...)
		}
		return nil
	}
	return nil
}

// String is s as swanctl.conf has it; octets that are no text are quoted.
func (s Section) String() string {
	var b strings.Builder
	s.write(&b, "")
	return b.String()
}

func (s Section) write(b *strings.Builder, indent string) {
	for _, i := range s {
		b.WriteString(indent + i.Key)
		switch v := i.Value.(type) {
		case Text:
			b.WriteString(" = " + plain(string(v)) + "\n")
		case List:
			b.WriteString(" = ")
			for n, e := range v {
				if n > 0 {
					b.WriteString(", ")
				}
				b.WriteString(plain(e))
			}
			b.WriteByte('\n')
		case Section:
			b.WriteString(" {\n")
			v.write(b, indent+"  ")
			b.WriteString(indent + "}\n")
		}
	}
}

func plain(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s || s == "" {
		return q
	}
	return s
}
