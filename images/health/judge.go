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
	Failed []string // units of linkseal's

	Configured bool
	Config     error // why the configuration cannot be read
	// Ports and Tunnels are those of the configuration.
	Ports, Tunnels []string
	Daemon         error // why it does not answer
	// Secured are those of the daemon's status; Problems, by name, are why others
	// are not.
	SecuredPorts, SecuredTunnels []string
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
	if len(f.Failed) > 0 {
		bad("units have failed: %s", strings.Join(f.Failed, ", "))
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
			bad("%s %s was secured before the update, and is not: %s", kind, name, why)
		}
	}
	again("port", before.Ports, f.Ports, f.SecuredPorts)
	again("tunnel", before.Tunnels, f.Tunnels, f.SecuredTunnels)
	return reasons
}
