package main

import (
	"github.com/spf13/cobra"
)

func imageVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "What the appliance image does and is",
		Long: `What the appliance image does and is: install and status are for people. Its
units call the others; there is no need to do so by hand, and no harm.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		imageConsoleVerb(),
		imageFirewallVerb(),
		imageHealthVerb(),
		imageInstallVerb(),
		imageProvisionVerb(),
		imageReadyVerb(),
		imageStatusVerb(),
	)
	return c
}
