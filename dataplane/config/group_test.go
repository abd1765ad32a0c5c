package config

import (
	"strings"
	"testing"
)

func TestControlGroup(t *testing.T) {
	for group, want := range map[string]struct {
		id      int
		problem string
	}{
		"":           {OwnGroup, ""},
		"netops":     {990, ""},
		"0":          {0, ""},
		"4294967294": {4294967294, ""},
		"4294967295": {OwnGroup, "l.yaml:2:18: there is no group 4294967295 on this machine; accepted: a group in /etc/group, or the number of a group"},
		"netop":      {OwnGroup, "l.yaml:2:18: there is no group netop on this machine; accepted: a group in /etc/group, or the number of a group"},
		"broken":     {OwnGroup, "l.yaml:2:18: group broken cannot be looked up: no /etc/group; accepted: a group in /etc/group, or the number of a group"},
	} {
		text := minimal
		if group != "" {
			text = strings.Replace(minimal, "version: 1", "version: 1\ncontrol: {group: "+group+"}", 1)
		}
		c, err := Parse("l.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		id, ps := c.ControlGroup(machine{})
		if id != want.id || ps.Error() != want.problem {
			t.Errorf("%q: %d, %s", group, id, ps.Error())
		}
		// check names it too.
		if got := c.CheckSystem(machine{"eth1": {1600, true}}).Error(); got != want.problem {
			t.Errorf("%q: check: %s", group, got)
		}
	}
}
