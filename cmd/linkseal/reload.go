package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/status"
)

func reloadVerb() *cobra.Command {
	daemon := daemonFlags{quiet: true}
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the running daemon read its configuration and keys anew",
		Long: `Have the running daemon read its configuration and keys anew, as SIGHUP does,
and wait until it runs by them. A configuration is taken as a whole or not at
all: what is wrong with it is printed on standard error, one thing a line, with
exit status 1, and what ran before goes on. For root and the members of the
control socket's group.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := daemon.client(c)
			if err != nil {
				return err
			}
			err = client.Reload(c.Context())
			if refused := (*status.ReloadError)(nil); errors.As(err, &refused) {
				for _, wrong := range refused.Wrong {
					fmt.Fprintln(c.ErrOrStderr(), wrong)
				}
				return errors.New("the configuration is refused; what ran before goes on")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "reloaded")
			return err
		},
	}
	daemon.add(c)
	return c
}
