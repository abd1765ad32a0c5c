package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

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
			return lab.Run(c.Context(), c.OutOrStdout(), self, suite)
		},
	}
	c.Flags().StringVar(&cipher, "cipher", cipher, "cipher suite")
	return c
}
