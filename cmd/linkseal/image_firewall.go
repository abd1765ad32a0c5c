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
forwarded comes from or goes to linkseal's interfaces. Without a configuration,
or with one that is refused, nothing of it is open. nft files in
` + firewall.Additions + ` are included. It also tells systemd-networkd
which devices are linkseal's, and gives ports the MTU that they need.
linkseal-firewall.service calls it. With --print the rules are printed, and
nothing is changed.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, refused := config.Load(bundle.Config)
			if _, err := os.Lstat(bundle.Config); errors.Is(err, fs.ErrNotExist) {
				refused = nil // none is no fault
			} else if refused != nil {
				refused = fmt.Errorf("nothing of the configuration is open: %w", refused)
			}
			state, err := firewallState(cfg, refused)
			if err != nil {
				return err
			}
			if print {
				_, err := fmt.Fprint(c.OutOrStdout(), firewall.Rules(state))
				return errors.Join(err, refused)
			}
			err = firewall.Apply(state, firewall.Load)
			return errors.Join(err, prepareDevices(cfg), refused)
		},
	}
	c.Flags().BoolVar(&print, "print", false, "print the rules and change nothing")
	return c
}

func firewallState(cfg *config.Config, refused error) (s firewall.State, err error) {
	if refused == nil {
		s.Config = cfg
	}
	info, err := os.Stat(bundle.AuthorizedKeys)
	s.SSH = err == nil && info.Size() > 0
	s.Additions, err = firewall.FindAdditions(firewall.Additions)
	return s, err
}

// prepareDevices hands the ports' devices to linkseal, as far as a configuration
// can be read: what is refused may name them all the same.
func prepareDevices(cfg *config.Config) error {
	changed, err := firewall.WriteNetworks(firewall.NetworkDir, firewall.Networks(cfg))
	if err == nil && changed {
		err = systemctl("--no-block", "try-reload-or-restart", "systemd-networkd.service")
	}
	firewall.Widen(firewall.MTUs(cfg))
	rules := os.MkdirAll(filepath.Dir(firewall.DeviceRulesFile), 0o755)
	if rules == nil {
		rules = os.WriteFile(firewall.DeviceRulesFile, []byte(firewall.DeviceRules(cfg)), 0o644)
	}
	return errors.Join(err, rules)
}
