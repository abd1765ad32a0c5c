// Command linkseal encrypts the edge of a private circuit: the daemon and the
// verbs that check, explain and follow it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/keymgmt/keyvault"
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
		brokerVerb(),
		checkVerb(),
		doctorVerb(),
		imageVerb(),
		inspectVerb(),
		keysVerb(),
		labVerb(),
		planVerb(),
		reloadVerb(),
		rotateVerb(),
		runVerb(),
		statusVerb(),
	)
	c.SetHelpCommand(helpVerb())
	strictCompletion(c)
	return c
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == keyvault.HelperVerb {
		os.Exit(keyvault.ServeHelper(os.Stdin, os.Stdout))
	}
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs a command line and gives its exit status.
func execute(args []string, stdout, stderr io.Writer) (status int) {
	out := &output{Writer: stdout}
	c := root()
	c.SetArgs(args)
	c.SetOut(out)
	c.SetErr(stderr)
	err := c.ExecuteContext(context.Background())
	if err == nil && out.err != nil {
		err = fmt.Errorf("output: %w", out.err)
	}
	if err == nil {
		return 0
	}
	status = 1
	var exit *exitError
	if errors.As(err, &exit) {
		status = exit.status
	}
	if exit != nil && exit.err == nil {
		return status
	}
	if status == 2 && verb(args) == "plan" {
		status = 1 // 2 says that there are changes to make, not that usage is wrong
	}
	fmt.Fprintf(stderr, "linkseal: %s\n", strings.TrimPrefix(err.Error(), "linkseal: "))
	return status
}

// verb is the first argument that is no flag.
func verb(args []string) string {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			return a
		}
	}
	return ""
}

// output remembers that something could not be written: what a verb prints is
// why it was run.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}
