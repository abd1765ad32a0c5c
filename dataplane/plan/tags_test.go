package plan

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var twoTags = &Tags{Rules: []TagRule{
	{Name: "voice", Direction: "egress", STag: 100, CTag: 10, DSCP: 46, Prefix: netip.MustParsePrefix("10.1.0.0/16"), Protocol: 17, Port: 5060, Mark: 0x10, Mask: 0xff, Priority: 6, SetDSCP: 34},
	{Name: "rest", Direction: "both", DSCP: -1, Protocol: -1, Priority: -1, SetDSCP: -1},
}}

func TestBuildTags(t *testing.T) {
	for name, c := range map[string]struct {
		want *Tags
		have *Tags
		torn bool
		step string
	}{
		"none":                   {nil, nil, false, ""},
		"the same":               {twoTags, &Tags{Rules: append([]TagRule{}, twoTags.Rules...)}, false, ""},
		"new":                    {twoTags, nil, false, "tag macsec1: count circuits, tag classes voice, rest\n"},
		"without rules":          {&Tags{}, nil, false, "tag macsec1: count circuits\n"},
		"without rules any more": {&Tags{}, twoTags, false, "tag macsec1: count circuits\n"},
		"in another order":       {twoTags, &Tags{Rules: []TagRule{twoTags.Rules[1], twoTags.Rules[0]}}, false, "tag macsec1: count circuits, tag classes voice, rest\n"},
		"torn":                   {&Tags{}, nil, true, "tag macsec1: count circuits (what is there is not whole, or of another version)\n"},
		"torn, and equal":        {twoTags, twoTags, true, "tag macsec1: count circuits, tag classes voice, rest (what is there is not whole, or of another version)\n"},
		"gone":                   {nil, twoTags, false, "remove the tags from macsec1\n"},
		"torn, and gone":         {nil, nil, true, "remove the tags from macsec1\n"},
	} {
		p := link1()
		p.Tags = c.want
		o := secured()
		l := o.Links["macsec1"]
		l.Tags, l.TagsTorn = c.have, c.torn
		o.Links["macsec1"] = l
		if d := cmp.Diff(c.step, lines(Build(Desired{Ports: []Port{p}}, o))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// Enforcement is there before the first frame is tagged, and the last is tagged
// before it goes.
func TestTagsBetween(t *testing.T) {
	p := link1()
	p.Tags = twoTags
	want := `filter eth1: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass
disable IPv6 on eth1 (the parent of a must-secure port has none)
set eth1 up
create macsec1 on eth1: gcm-aes-xpn-256, encrypt, replay window 0, sci 0200000000010001
add address 192.0.2.1/30 to macsec1
tag macsec1: count circuits, tag classes voice, rest
set macsec1 up
`
	if d := cmp.Diff(want, lines(Build(Desired{Ports: []Port{p}}, machine(eth1())))); d != "" {
		t.Errorf("from nothing (-want +got):\n%s", d)
	}
	o := secured()
	l := o.Links["macsec1"]
	l.Tags = twoTags
	o.Links["macsec1"] = l
	p.Tags = nil
	p.Device = "eth2"
	o.Links["eth2"] = Link{Name: "eth2", MTU: 1532, MAC: MAC{2, 0, 0, 0, 0, 2}, Up: true}
	p.Dataplane, l.MACsec, l.Parent, l.Tap = Userspace, nil, "", true
	o.Links["macsec1"] = l
	want = `filter eth2: only MACsec and EAPOL (0x888e to 01:80:c2:00:00:03) may pass
set macsec1 mac 02:00:00:00:00:02 (that of eth2)
remove the tags from macsec1
enable IPv6 on eth1 (no must-secure port is on it)
remove the filter from eth1 (no must-secure port is on it)
`
	if d := cmp.Diff(want, lines(Build(Desired{Ports: []Port{p}}, o))); d != "" {
		t.Errorf("to another device, without (-want +got):\n%s", d)
	}
}

func TestTagsJSON(t *testing.T) {
	got, err := json.Marshal(Step{Kind: SetTags, Port: "link1", Link: "macsec1", Tags: twoTags})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"step":"set-tags","port":"link1","interface":"macsec1","tags":{"rules":[` +
		`{"name":"voice","direction":"egress","s_tag":100,"c_tag":10,"dscp":46,"prefix":"10.1.0.0/16","protocol":17,"port":5060,"set":{"mark":"0x10/0xff","priority":6,"dscp":34}},` +
		`{"name":"rest","direction":"both"}]},"text":"tag macsec1: count circuits, tag classes voice, rest"}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}
