package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func imageVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "image install|status",
		Short: "What the appliance image does and is",
		Long: `What the appliance image does and is: install and status are for people. Its
units call the others; there is no need to do so by hand, and no harm.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown verb image %q; accepted: install, status", args[0]))
			}
			return usage(fmt.Errorf("image needs a verb; accepted: install, status"))
		},
		Args: cobra.ArbitraryArgs,
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
