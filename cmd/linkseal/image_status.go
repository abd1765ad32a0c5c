package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/images/update"
)

func imageStatusVerb() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what the two slots have, and what became of the last update",
		Long: `Show the version that runs and that in the other slot: good, on trial and with
how many tries left, failed, or empty; whether the root is verified and Secure
Boot on; and what became of the last update. Of one that failed it says why.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := update.ThisMachine.Overview()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), o)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), o.Text())
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	return c
}
