package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/images/console"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/images/update"
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
			ctx, stop := onlyFirst(untilSignal(c, unix.SIGHUP, unix.SIGTERM))
			defer stop()
			out := c.OutOrStdout()
			if o, ok := out.(*output); ok {
				out = o.Writer
			}
			wrong := &wrongConfig{}
			m := &console.Machine{Version: version(), Status: daemonStatus, Wrong: wrong.lines, Boot: (&console.Boots{Machine: &update.ThisMachine}).Now}
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

// wrongConfig checks the configuration again only when it has changed, or a
// minute later: the check tries the kernel's features.
type wrongConfig struct {
	known   []string
	at, mod time.Time
}

func (w *wrongConfig) lines() []string {
	info, err := os.Stat(bundle.Config)
	if err != nil {
		return []string{err.Error()}
	}
	if info.ModTime().Equal(w.mod) && time.Since(w.at) < time.Minute {
		return w.known
	}
	cfg, problems := readConfig(bundle.Config, thisMachine{})
	cfg.zero()
	w.known, w.mod, w.at = nil, info.ModTime(), time.Now()
	for _, p := range problems {
		w.known = append(w.known, p.Error())
	}
	return w.known
}
