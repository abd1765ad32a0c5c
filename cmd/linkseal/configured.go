package main

import (
	"errors"
	"net"
	"os/user"
	"strconv"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/linux/probe"
)

// configured is a configuration with the keychains that it names.
type configured struct {
	*config.Config
	chosen map[string]plan.Choice        // where each port and tunnel runs, by its name
	chains map[string]*keychain.Keychain // by name; those that could be read
	// refused are pairs of a vault that are not used, each with its reason.
	refused map[string][]string
}

// keys is how many there are in all keychains.
func (c *configured) keys() (n int) {
	for _, k := range c.chains {
		n += k.Len()
	}
	return n
}

// zero zeroes the keys.
func (c *configured) zero() {
	for _, k := range c.chains {
		k.Zero()
	}
}

// readConfig reads a configuration and its keychains and looks at the
// machine, as far as each can be read: what it returns besides is all that is
// wrong with them, nil if nothing is. The configuration is never nil.
func readConfig(path string, on machine) (*configured, strict.Problems) {
	var all strict.Problems
	cfg, err := config.Load(path)
	if err != nil && !errors.As(err, &all) {
		all = strict.Problems{{Pos: strict.Pos{File: path}, What: err.Error(), Accepted: "a readable configuration"}}
	}
	// The configuration's own come first: Sort keeps the order of files.
	all = append(all, cfg.CheckSystem(on)...)
	c := &configured{Config: cfg, chosen: reconcile.Choose(cfg, on.Capabilities()), chains: map[string]*keychain.Keychain{}}
	all = append(all, cfg.CheckDataplanes(func(p config.Port) (what, accepted string) {
		if lack := c.chosen[p.Name].Lack; lack != nil {
			return lack.Cause, lack.Remedy
		}
		return "", ""
	})...)
	all = append(all, cfg.CheckTunnels(on,
		func(t config.Tunnel) bool { return c.chosen[t.Name].Dataplane == plan.Userspace },
		func(t config.Tunnel) (what, accepted string) {
			if lack := c.chosen[t.Name].Lack; lack != nil {
				return lack.Cause, lack.Remedy
			}
			return "", ""
		})...)
	all = append(all, c.readKeys()...)
	all.Sort()
	return c, all
}

// readKeys reads the keychains that are files, and returns what is wrong with them
// and with the keys.
func (c *configured) readKeys() (all strict.Problems) {
	cfg := c.Config
	for _, k := range cfg.Keychains {
		if k.Source != config.SourceFile || k.Path == "" {
			continue
		}
		chain, err := file.Load(k.Path)
		if err == nil {
			c.chains[k.Name] = chain
			continue
		}
		all = append(all, sourceProblems(cfg, k.Name, err)...)
		var refused *file.Refused
		if errors.As(err, &refused) {
			all = append(all, cfg.CheckLengths(k.Name, refused.Keys)...)
		}
	}
	return append(all, cfg.CheckKeys(c.chains)...)
}

// sourceProblems places what is wrong with a key file: inside it where it was
// read, else where the configuration names it.
func sourceProblems(cfg *config.Config, chain string, err error) strict.Problems {
	var inside strict.Problems
	if errors.As(err, &inside) {
		return inside
	}
	what, accepted := err.Error(), "a key file, mode 0600"
	var refused *file.AccessError
	if errors.As(err, &refused) {
		what, accepted = "key file "+refused.Path+" "+refused.What, refused.Accepted
	}
	return strict.Problems{cfg.Problem("keychains."+chain+".path", "keychain "+chain+": "+what, accepted)}
}

// machine is what a configuration is checked against.
type machine interface {
	config.System
	// Capabilities says where SecYs can run.
	Capabilities() plan.Capabilities
}

// thisMachine answers a configuration's check.
type thisMachine struct{}

func (thisMachine) Capabilities() plan.Capabilities {
	return reconcile.Capabilities(probe.Feature.Check)
}

func (thisMachine) Device(name string) (config.Device, bool, error) {
	all, err := net.Interfaces()
	if err != nil {
		return config.Device{}, false, err
	}
	for _, i := range all {
		if i.Name == name {
			return config.Device{MTU: i.MTU, Ethernet: len(i.HardwareAddr) == 6 && i.Flags&net.FlagLoopback == 0}, true, nil
		}
	}
	return config.Device{}, false, nil
}

func (thisMachine) Group(name string) (uint32, bool, error) {
	g, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err == nil, err
}
