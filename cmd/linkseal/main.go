// Command linkseal encrypts the edge of a private circuit: the daemon and the
// verbs that check, explain and follow it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// exitError carries an exit status other than 1. A nil err prints nothing:
// the verb has said all already.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage marks err as the caller's: exit status 2.
func usage(err error) error { return &exitError{status: 2, err: err} }

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "linkseal",
		Short:         "Encrypt the edge of a private circuit to the cloud with MACsec",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && args[0] == "rotate" {
				return usage(errors.New("rotate is not in this release; edit the keychain files instead: a key added at both ends takes over, linkseal keys generate makes one"))
			}
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown verb %q; linkseal help lists them", args[0]))
			}
			return c.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	// One line a verb, in the order that help shows.
	c.AddCommand(
		checkVerb(),
		doctorVerb(),
		inspectVerb(),
		keysVerb(),
		labVerb(),
		planVerb(),
		runVerb(),
		statusVerb(),
	)
	return c
}

func main() {
	err := root().ExecuteContext(context.Background())
	if err == nil {
		return
	}
	status := 1
	var exit *exitError
	if errors.As(err, &exit) {
		status = exit.status
	}
	if exit == nil || exit.err != nil {
		fmt.Fprintf(os.Stderr, "linkseal: %s\n", strings.TrimPrefix(err.Error(), "linkseal: "))
	}
	os.Exit(status)
}
