package main

import (
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/tests/lab"
)

func labVerb() *cobra.Command {
	cipher := sa.GCMAESXPN256.String()
	c := &cobra.Command{
		Use:   "lab",
		Short: "Two appliances on this machine: secured link, traffic, a key rotation, what was lost",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			suite, ok := sa.ParseSuite(cipher)
			if !ok {
				return usage(fmt.Errorf("--cipher %s: not a cipher suite; accepted: %v", cipher, sa.Suites()))
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
			return lab.Run(ctx, c.OutOrStdout(), self, suite)
		},
	}
	c.Flags().StringVar(&cipher, "cipher", cipher, "cipher suite")
	return c
}
