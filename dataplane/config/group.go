package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// groupForm is what groupadd(8) takes for a name, with capitals; and numbers.
var groupForm = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,31}$`)

// OwnGroup stands for the group that the daemon runs as.
const OwnGroup = -1

// ControlGroup is the number of the group of the control socket; OwnGroup if
// none is configured. A number need not have a name. One that is not known is
// a problem, and OwnGroup.
func (c *Config) ControlGroup(s System) (id int, ps strict.Problems) {
	if c.Group == "" {
		return OwnGroup, nil
	}
	// The greatest is chown's "leave it as it is".
	if n, err := strconv.ParseUint(c.Group, 10, 32); err == nil && n < math.MaxUint32 {
		return int(n), nil
	}
	const accepted = "a group in /etc/group, or the number of a group"
	n, ok, err := s.Group(c.Group)
	switch {
	case err != nil:
		return OwnGroup, strict.Problems{c.Problem("control.group", fmt.Sprintf("group %s cannot be looked up: %v", c.Group, err), accepted)}
	case !ok:
		return OwnGroup, strict.Problems{c.Problem("control.group", fmt.Sprintf("there is no group %s on this machine", c.Group), accepted)}
	}
	return int(n), nil
}
