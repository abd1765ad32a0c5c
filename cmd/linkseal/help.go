package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpVerb is cobra's, but that a verb that is not there is a usage error.
func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Help about any verb",
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage(fmt.Errorf("there is no verb %q to help with; linkseal help lists them", strings.Join(args, " ")))
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		},
	}
}

// strictCompletion has the completion verb of root refuse what it does not
// know, as the other verbs do.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	c, _, err := root.Find([]string{"completion"})
	if err != nil || c == root {
		return
	}
	var shells []string
	for _, s := range c.Commands() {
		shells = append(shells, s.Name())
		s.Args = noArgs
	}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return usage(fmt.Errorf("there is no completion for %q; accepted: %s", args[0], strings.Join(shells, ", ")))
	}
}
