package health

import (
	"fmt"
	"slices"
	"strings"
)

// Facts are what a look at the machine found.
type Facts struct {
	Root   error    // why the root is not verified
	Var    error    // why /var cannot be written
	Units  error    // why the units are not known
	Failed []string // units, all of them
	Active []string // of those that are watched
	SSH    bool     // somebody may log in

	Configured bool
	Config     error // why the configuration cannot be read
	// Ports and Tunnels are those of the configuration.
	Ports, Tunnels         []string
	MustPorts, MustTunnels []string // those of them that are secure: must
	Daemon                 error    // why it does not answer
	// Secured are those of the daemon's status; Problems, by name, are why others
	// are not.
	SecuredPorts, SecuredTunnels []string
	Enforced                     []string // as a Record's
	Problems                     map[string]string
}

// Judge says why the machine is not healthy, one reason each; none: it is. before is
// what was when this version was installed, nil if that is not known.
func Judge(before *Record, f Facts) (reasons []string) {
	bad := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if f.Root != nil {
		bad("the root is not verified: %v", f.Root)
	}
	if f.Var != nil {
		bad("/var cannot be written: %v", f.Var)
	}
	if f.Units != nil {
		bad("systemd does not tell which units failed: %v", f.Units)
	}
	if failed := newlyFailed(before, f.Failed); len(failed) > 0 {
		bad("units have failed: %s", strings.Join(failed, ", "))
	}
	if f.Units == nil {
		for _, unit := range watched {
			if unit == "ssh.service" && !f.SSH {
				continue // it is off on purpose
			}
			if !slices.Contains(f.Active, unit) && (slices.Contains(always, unit) || before != nil && slices.Contains(before.Active, unit)) {
				bad("%s is not active, and was before the update", unit)
			}
		}
	}
	if f.Config != nil {
		bad("the configuration cannot be read: %v", f.Config)
		return reasons
	}
	if !f.Configured {
		if before != nil && before.Configured {
			bad("the configuration is gone; there was one before the update")
		}
		return reasons
	}
	if f.Daemon != nil {
		bad("the daemon does not answer: %v", f.Daemon)
		return reasons
	}
	if before == nil {
		return reasons
	}
	ports, tunnels, since := before.Ports, before.Tunnels, "was secured before the update"
	if before.Lost {
		ports, tunnels, since = f.MustPorts, f.MustTunnels, "has to be secured, as what was before the update is not known"
	}
	// What has left the configuration since is nobody's loss.
	again := func(kind string, before, configured, secured []string) {
		for _, name := range before {
			if !slices.Contains(configured, name) || slices.Contains(secured, name) {
				continue
			}
			why := f.Problems[kind+" "+name]
			if why == "" {
				why = "its state says no more"
			}
			bad("%s %s %s, and is not: %s", kind, name, since, why)
		}
	}
	again("port", ports, f.Ports, f.SecuredPorts)
	again("tunnel", tunnels, f.Tunnels, f.SecuredTunnels)
	// It is secured without that too, and is not as tight.
	closed := func(kind string, must []string) {
		for _, name := range must {
			if which := kind + " " + name; slices.Contains(before.Enforced, which) && !slices.Contains(f.Enforced, which) {
				bad("%s was closed to all that is not encrypted before the update, and is not: linkseal status says why", which)
			}
		}
	}
	closed("port", f.MustPorts)
	closed("tunnel", f.MustTunnels)
	return reasons
}

var (
	// always are the units that every machine is reached by, and is closed by.
	always = []string{"systemd-networkd.service", "nftables.service"}
	// watched are those whose loss is told: the rest where it ran before.
	watched = append(slices.Clone(always), "ssh.service", "linkseal-broker.service")
)

// newlyFailed are the failed units that an update answers for: those that had not
// failed before it. Of linkseal's own none had, or it was not installed.
func newlyFailed(before *Record, failed []string) []string {
	if before == nil {
		return failed
	}
	return slices.DeleteFunc(slices.Clone(failed), func(unit string) bool { return slices.Contains(before.Failed, unit) })
}

// ours are those of the units that are linkseal's.
func ours(units []string) []string {
	return slices.DeleteFunc(slices.Clone(units), func(unit string) bool { return !strings.HasPrefix(unit, "linkseal") })
}
