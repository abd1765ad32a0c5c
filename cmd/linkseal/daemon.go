package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
)

// daemonFlags are those of a verb that talks to the daemon.
type daemonFlags struct {
	socket, config string
	quiet          bool // about a configuration with errors: the daemon names them
}

func (f *daemonFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.socket, "socket", status.DefaultSocket, "the daemon's control socket, a `PATH`")
	c.Flags().StringVar(&f.config, "config", "", "take the control socket from configuration `FILE`")
}

// client is one of the daemon that the flags name.
func (f *daemonFlags) client(c *cobra.Command) (*status.Client, error) {
	socket := f.socket
	if f.config != "" && !c.Flags().Changed("socket") {
		cfg, err := config.Load(f.config)
		if cfg.Socket == "" { // not readable at all
			return nil, err
		}
		if socket = cfg.Socket; err != nil && !f.quiet {
			// After a bad edit the daemon runs on, and is worth asking.
			fmt.Fprintf(c.ErrOrStderr(), "linkseal: %s has errors, which linkseal check --config %s shows; asking the daemon on %s\n", f.config, f.config, socket)
		}
	}
	return status.NewClient(socket), nil
}
