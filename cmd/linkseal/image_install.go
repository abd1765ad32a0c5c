package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/images/health"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/update"
)

func imageInstallVerb() *cobra.Command {
	var reboot bool
	c := &cobra.Command{
		Use:   "install FILE",
		Short: "Install an update into the slot that does not run",
		Long: `Install an update, linkseal-VERSION-amd64.update, into the slot that does not run.
The signature, the version, which has to be newer than what runs, and all of the
file are checked before anything is changed. With a configuration the daemon has to
answer: what is secured now is what the update is held against; and none of
linkseal's units may have failed, for an update is good where none has. What runs is
not touched: whatever ends an install, also a loss of power, it is booted.

The update is booted next, with --reboot now. It is on trial then: linkseal image
health has to find it healthy, which includes that the ports and tunnels that are
secured now are secured again, within three minutes. After three boots that
did not get there, the version before it is booted again, and linkseal image status
says why.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("image install takes one FILE, got %d arguments", len(args)))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			before := func() (health.Record, error) {
				look := health.Machine{Config: bundle.Config}
				return look.Before(c.Context())
			}
			if err := update.ThisMachine.Install(args[0], before, sayTo(c)); err != nil {
				return err
			}
			if !reboot {
				_, err := fmt.Fprintln(c.OutOrStdout(), "to boot it: systemctl reboot")
				return err
			}
			if err := systemctl("--no-block", "reboot"); err != nil {
				return errors.Join(errors.New("the update is installed, and the machine does not reboot; reboot it by hand"), err)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&reboot, "reboot", false, "boot it at once")
	return c
}

// sayTo prints lines as a verb's output.
func sayTo(c *cobra.Command) func(string, ...any) {
	return func(format string, args ...any) { fmt.Fprintf(c.OutOrStdout(), format+"\n", args...) }
}
