package userspace

import (
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// class is what a port counted of one in a direction.
func class(s status.Port, name, direction string) status.Traffic {
	for _, c := range s.Classes {
		if c.Name == name && c.Direction == direction {
			c.LastSeen = nil
			return c.Traffic
		}
	}
	return status.Traffic{}
}

// What one end counts as gone into its SecY the other counts as come out of it,
// super-packets of TCP too; and a reload that changes the rules
// loses no count of a class that stays.
func TestTags(t *testing.T) {
	t.Parallel()
	port := func(rules string) lab.Port { return lab.Port{Extra: []string{"tags: [" + rules + "]"}} }
	const udp, tcp = "{name: udp, direction: both, protocol: udp}", "{name: tcp, direction: both, protocol: tcp, set: {priority: 5}}"
	p := newPair(t, lab.Options{}, port(udp+", "+tcp))
	p.start(t)
	equal := func(names ...string) []status.Port {
		t.Helper()
		ports := wait(t, "both ends to have counted the same", func(status.Port) bool { return true }, p.both()...)
		west, east := ports[0], ports[1]
		for _, name := range names {
			out, in := class(west, name, "egress"), class(east, name, "ingress")
			back, heard := class(east, name, "egress"), class(west, name, "ingress")
			if out != in || back != heard || out.Packets == 0 || back.Packets == 0 {
				t.Errorf("%s: %+v went, %+v came; back %+v went, %+v came", name, out, in, back, heard)
			}
		}
		if west.TagsBy == "" || west.TagsError != "" || len(west.Circuits) == 0 {
			t.Errorf("tags by %q, %s, circuits %+v", west.TagsBy, west.TagsError, west.Circuits)
		}
		return ports
	}
	carries(t, p.west, p.east)
	bulk(t, p.west, p.east)
	before := equal("udp", "tcp")
	for _, a := range p.both() {
		check(t, p.configure(port(tcp+", {name: icmp, protocol: icmp}, "+udp)))
		if _, errs, exit, err := a.Verb(t.Context(), "reload", "--socket", a.Socket()); err != nil || exit != 0 {
			t.Fatalf("reload at %s: %v, %s", a.Name, err, errs)
		}
	}
	carries(t, p.east, p.west)
	after := equal("udp")
	if was, now := class(before[0], "udp", "egress"), class(after[0], "udp", "egress"); now.Packets <= was.Packets {
		t.Errorf("udp was %+v before the reload, is %+v", was, now)
	}
	nothingToPlan(t, p.both()...)
}
