package userspace

import (
	"fmt"
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
	port := func(rules string) lab.Port { return lab.Port{MKA: steady, Extra: []string{"tags: [" + rules + "]"}} }
	const udp, tcp = "{name: udp, direction: both, protocol: udp}", "{name: tcp, direction: both, protocol: tcp, set: {priority: 5}}"
	p := newPair(t, lab.Options{}, port(udp+", "+tcp))
	p.start(t)
	equal := func(names ...string) []status.Port {
		t.Helper()
		var ports []status.Port
		var differ string
		defer func() {
			if differ != "" {
				t.Log(differ)
			}
		}()
		// The last of TCP's frames are still on their way when its data are there.
		eventually(t, "both ends to have counted the same", func() bool {
			ports = wait(t, "both ends' status", func(status.Port) bool { return true }, p.both()...)
			differ = ""
			for _, name := range names {
				out, in := class(ports[0], name, "egress"), class(ports[1], name, "ingress")
				back, heard := class(ports[1], name, "egress"), class(ports[0], name, "ingress")
				if out != in || back != heard || out.Packets == 0 || back.Packets == 0 {
					differ += fmt.Sprintf("%s: %+v went, %+v came; back %+v went, %+v came. ", name, out, in, back, heard)
				}
			}
			return differ == ""
		})
		west := ports[0]
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
