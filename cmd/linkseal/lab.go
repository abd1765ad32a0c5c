package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/tests/lab"
)

// dataplanes are what --dataplane takes.
var dataplanes = []string{string(plan.Auto), string(plan.Kernel), string(plan.Userspace)}

// tunnelTypes are what --tunnel takes.
var tunnelTypes = []string{lab.WireGuard, lab.IPsec}

func labVerb() *cobra.Command {
	cipher, dataplane := sa.GCMAESXPN256.String(), string(plan.Auto)
	vault, tunnel := false, ""
	c := &cobra.Command{
		Use:   "lab",
		Short: "Two appliances on this machine: secured link or tunnel, traffic, a key rotation, what was lost",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			suite, ok := sa.ParseSuite(cipher)
			if !ok {
				return usage(fmt.Errorf("--cipher %s: not a cipher suite; accepted: %v", cipher, sa.Suites()))
			}
			if !slices.Contains(dataplanes, dataplane) {
				return usage(fmt.Errorf("--dataplane %s: accepted: %s", dataplane, strings.Join(dataplanes, ", ")))
			}
			for flag, given := range map[string]bool{"--cipher": c.Flags().Changed("cipher"), "--vault": vault} {
				if tunnel != "" && given {
					return usage(fmt.Errorf("%s is of a link, and does not go with --tunnel", flag))
				}
			}
			if tunnel != "" && !slices.Contains(tunnelTypes, tunnel) {
				return usage(fmt.Errorf("--tunnel %s: accepted: %s", tunnel, strings.Join(tunnelTypes, ", ")))
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			// Whatever ends the lab, it has to clear up first.
			defer survivePipes()()
			ends := []os.Signal{unix.SIGQUIT}
			if !signal.Ignored(unix.SIGHUP) { // as nohup has it
				ends = append(ends, unix.SIGHUP)
			}
			ctx, stop := untilSignal(c, ends...)
			defer stop()
			if tunnel != "" {
				return lab.RunTunnel(ctx, c.OutOrStdout(), self, tunnel, dataplane)
			}
			return lab.Run(ctx, c.OutOrStdout(), self, suite, dataplane, vault)
		},
	}
	c.Flags().StringVar(&cipher, "cipher", cipher, "cipher suite")
	c.Flags().StringVar(&dataplane, "dataplane", dataplane, "where the SecYs are, or the tunnel: "+strings.Join(dataplanes, ", "))
	c.Flags().StringVar(&tunnel, "tunnel", "", "a tunnel of this `TYPE` in place of a MACsec link: "+strings.Join(tunnelTypes, ", "))
	c.Flags().BoolVar(&vault, "vault", false, "keys in a local Azure Key Vault: a rotation, its outage, and a reboot meanwhile")
	return c
}
