package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/console"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/update"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
)

func imageConsoleVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "console",
		Short: "Show the appliance's state on its screen or serial line (called by units)",
		Long: `Show the appliance's state until interrupted: what it is, how it was provisioned or
why not, each port and tunnel, why it is not secured and what to do next, its
addresses. A screen (TERM=linux) is redrawn; a serial line gets what has changed.
It takes no input. linkseal-console@.service calls it.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := onlyFirst(untilSignal(c, unix.SIGHUP))
			defer stop()
			out := c.OutOrStdout()
			if o, ok := out.(*output); ok {
				out = o.Writer
			}
			m := &console.Machine{Version: version(), Status: daemonStatus, Wrong: wrongFiles, Boot: (&console.Boots{Machine: &update.ThisMachine}).Now}
			return console.Show(ctx, out, func(ctx context.Context) *console.State { return m.Gather(ctx, time.Now()) })
		},
	}
}

// daemonStatus asks the daemon at the socket that the configuration has.
func daemonStatus(ctx context.Context) (status.Status, error) {
	socket := config.DefaultSocket
	if cfg, err := config.Load(bundle.Config); err == nil {
		socket = cfg.Socket
	}
	return status.NewClient(socket).Status(ctx)
}

// wrongFiles is what is wrong with the configuration and its key files, as far as
// files and the names of devices tell: the features of the kernel are tried by
// others.
func wrongFiles() (wrong []string) {
	cfg, err := config.Load(bundle.Config)
	var problems strict.Problems
	errors.As(err, &problems)
	problems = append(problems, cfg.CheckSystem(thisMachine{})...)
	c := &configured{Config: cfg, chains: map[string]*keychain.Keychain{}}
	defer c.zero()
	for _, p := range append(problems, c.readKeys()...) {
		wrong = append(wrong, p.Error())
	}
	return wrong
}
