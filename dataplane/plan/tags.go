package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TagRule puts frames of a port's interface into a class, and says what is set
// on them; the first of a port's rules that matches counts. An absent field
// matches every frame.
type TagRule struct {
	Name      string // of the class
	Direction string // "egress", "ingress", "both"
	STag      uint16 // VID; 0: absent
	CTag      uint16 // VID; 0: absent
	DSCP      int    // -1: absent
	// Prefix has the address at the far end; the zero Prefix is absent.
	Prefix   netip.Prefix
	Protocol int    // IP protocol number; -1: absent
	Port     uint16 // of either end; 0: absent
	// Mark replaces the bits of skb->mark that are in Mask; Mask 0: none.
	Mark, Mask uint32
	Priority   int64 // skb->priority; -1: it stays
	SetDSCP    int   // -1: it stays
}

// Tags are the rules that frames of an interface are counted and tagged by.
// Without a rule they are counted by circuit alone.
type Tags struct {
	Rules []TagRule `json:"rules"`
}

// Equal tells whether both are absent, or both go by the same rules.
func (t *Tags) Equal(o *Tags) bool {
	if t == nil || o == nil {
		return t == o
	}
	return slices.Equal(t.Rules, o.Rules)
}

func (t *Tags) String() string {
	if len(t.Rules) == 0 {
		return "count circuits"
	}
	names := make([]string, len(t.Rules))
	for i, r := range t.Rules {
		names[i] = r.Name
	}
	return "count circuits, tag classes " + strings.Join(names, ", ")
}

// MarshalJSON implements json.Marshaler: what is absent is left out.
func (r TagRule) MarshalJSON() ([]byte, error) {
	j := tagRuleJSON{Name: r.Name, Direction: r.Direction, STag: r.STag, CTag: r.CTag, DSCP: given(int64(r.DSCP)), Protocol: given(int64(r.Protocol)), Port: r.Port}
	if r.Prefix.IsValid() {
		j.Prefix = r.Prefix.String()
	}
	if r.Mask != 0 || r.Priority >= 0 || r.SetDSCP >= 0 {
		j.Set = &tagSetJSON{Priority: given(r.Priority), DSCP: given(int64(r.SetDSCP))}
		if r.Mask != 0 {
			j.Set.Mark = fmt.Sprintf("0x%x/0x%x", r.Mark, r.Mask)
		}
	}
	return json.Marshal(j)
}

func given(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

type tagRuleJSON struct {
	Name      string      `json:"name"`
	Direction string      `json:"direction"`
	STag      uint16      `json:"s_tag,omitempty"`
	CTag      uint16      `json:"c_tag,omitempty"`
	DSCP      *int64      `json:"dscp,omitempty"`
	Prefix    string      `json:"prefix,omitempty"`
	Protocol  *int64      `json:"protocol,omitempty"` // number
	Port      uint16      `json:"port,omitempty"`
	Set       *tagSetJSON `json:"set,omitempty"`
}

type tagSetJSON struct {
	Mark     string `json:"mark,omitempty"` // with its mask
	Priority *int64 `json:"priority,omitempty"`
	DSCP     *int64 `json:"dscp,omitempty"`
}

// tag tags the frames of p's interface, or leaves it. link is as it was found,
// or as it has just been made.
func (b *builder) tag(p Port, link Link) {
	torn := link.TagsTorn
	switch {
	case p.Tags == nil && (link.Tags != nil || torn):
		b.add(Step{Kind: RemoveTags, Port: p.Name, Link: p.Interface})
	case p.Tags != nil && torn:
		b.add(Step{Kind: SetTags, Port: p.Name, Link: p.Interface, Tags: p.Tags, Why: "what is there is not whole, or of another version"})
	case p.Tags != nil && !p.Tags.Equal(link.Tags):
		b.add(Step{Kind: SetTags, Port: p.Name, Link: p.Interface, Tags: p.Tags})
	}
}
