package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/images/firewall"
	"github.com/linkseal/linkseal/images/provision/bundle"
)

func imageFirewallVerb() *cobra.Command {
	var print bool
	c := &cobra.Command{
		Use:   "firewall",
		Short: "Make the packet filter out of the configuration (called by units)",
		Long: `Make the packet filter out of the configuration: what comes in is dropped, but
what the configuration listens on, and SSH if there are authorized keys; what is
forwarded comes from or goes to linkseal's interfaces. Without a configuration
nothing is open. If it is refused, what was accepted before it in this boot holds
on; at boot nothing is open then, and the ports of the last that was accepted stay
down. nft files in ` + firewall.Additions + ` are included. It also tells
systemd-networkd which devices are linkseal's, and gives ports the MTU that they need.
linkseal-firewall.service calls it. With --print the rules are printed, and
nothing is changed.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if print {
				cfg, refused := opening(bundle.Config)
				now, refused := firewall.ThisAccepted.Now(cfg, refused)
				state, err := firewallState(now.Config)
				_, unprinted := fmt.Fprint(c.OutOrStdout(), firewall.Rules(state))
				return errors.Join(unprinted, err, refused)
			}
			return firewall.Settle(makeFirewall, bundle.Config, firewall.Additions, bundle.AuthorizedKeys)
		},
	}
	c.Flags().BoolVar(&print, "print", false, "print the rules and change nothing")
	return c
}

// makeFirewall makes the filter. The ports are networkd's no more before anything that
// may fail or take long.
func makeFirewall() error {
	cfg, refused := opening(bundle.Config)
	now, refused := firewall.ThisAccepted.Now(cfg, refused)
	state, err := firewallState(now.Config)
	err = errors.Join(err, firewall.Lower(now.Down), prepareDevices(now.Owned), firewall.Apply(state, firewall.Load))
	if refused == nil {
		err = errors.Join(err, firewall.ThisAccepted.Keep(cfg))
	}
	return errors.Join(err, refused)
}

// opening is the configuration that may open ports; what the daemon refuses does not. Of
// one that is refused it is what could be read. None, which is nil, is no fault.
func opening(path string) (cfg *config.Config, refused error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if cfg, refused = config.Load(path); refused == nil {
		refused = runnable(cfg)
	}
	return cfg, refused
}

// firewallState is what cfg opens, and the machine beside it. Additions that cannot
// be listed are none.
func firewallState(cfg *config.Config) (s firewall.State, err error) {
	s.Config = cfg
	info, absent := os.Stat(bundle.AuthorizedKeys)
	s.SSH = absent == nil && info.Size() > 0
	s.Additions, err = firewall.FindAdditions(firewall.Additions)
	return s, err
}

// prepareDevices hands the ports' devices to linkseal.
func prepareDevices(owned firewall.Owned) error {
	changed, err := firewall.WriteNetworks(firewall.NetworkDir, owned.Networks())
	if err == nil && changed {
		err = systemctl("--no-block", "try-reload-or-restart", "systemd-networkd.service")
	}
	firewall.Widen(owned.Ports)
	rules := os.MkdirAll(filepath.Dir(firewall.DeviceRulesFile), 0o755)
	if rules == nil {
		rules = os.WriteFile(firewall.DeviceRulesFile, []byte(owned.DeviceRules()), 0o644)
	}
	return errors.Join(err, rules)
}
