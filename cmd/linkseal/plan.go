package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/reconcile"
)

// planDocument is what plan prints with --json.
type planDocument struct {
	Steps    []plan.Step    `json:"steps"`
	Problems []plan.Problem `json:"problems"`
}

func planVerb() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "plan --config FILE",
		Short: "Show what run would change on this machine",
		Long: `Show what run would change on this machine, one step a line, in order, and
change nothing. Exit status: 0 nothing to change, 2 changes, 1 any error, a
port that cannot be made and wrong usage included.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			k, err := reconcile.OpenKernel()
			if err != nil {
				return err
			}
			defer k.Close()
			k.Remember(cfg.State)
			desired := reconcile.Desired(cfg, reconcile.Choose(cfg, k.Capabilities()))
			observed, err := k.Observe(desired)
			if err != nil {
				return err
			}
			d := planDocument{Steps: plan.Build(desired, observed), Problems: plan.Check(desired, observed)}
			return d.print(c.OutOrStdout(), c.ErrOrStderr(), asJSON)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document")
	return c
}

func (d planDocument) print(stdout, stderr io.Writer, asJSON bool) error {
	if asJSON {
		if d.Steps == nil {
			d.Steps = []plan.Step{}
		}
		if d.Problems == nil {
			d.Problems = []plan.Problem{}
		}
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(d); err != nil {
			return err
		}
	} else {
		for _, s := range d.Steps {
			if _, err := fmt.Fprintln(stdout, s); err != nil {
				return err
			}
		}
		for _, p := range d.Problems {
			fmt.Fprintf(stderr, "linkseal: %v\n", p)
		}
	}
	switch {
	case len(d.Problems) > 0:
		return &exitError{status: 1}
	case len(d.Steps) > 0:
		return &exitError{status: 2}
	}
	return nil
}
