package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

func checkVerb() *cobra.Command { return checkOn(thisMachine{}) }

func checkOn(m machine) *cobra.Command {
	var path string
	var asJSON, print bool
	c := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Validate a configuration, its key files and its devices",
		Long: `Validate a configuration, the key files that it names and what it needs of this
machine: devices, and a kernel with MACsec, WireGuard, ESP or taps. Everything wrong is reported
at once on standard error, each as FILE:LINE:COL: what is wrong; what is
accepted, with the line beneath. No line of a key file is ever shown. Exit
status 0: all is well, 1: it is not.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if path == "" {
				return usage(fmt.Errorf("check needs --config FILE"))
			}
			if asJSON && print {
				return usage(fmt.Errorf("--json and --print are two outputs; accepted: one of them"))
			}
			cfg, problems := readConfig(path, m)
			defer cfg.zero()
			switch {
			case asJSON:
				if err := writeJSON(c.OutOrStdout(), checked(path, cfg, problems)); err != nil {
					return err
				}
			case len(problems) == 0 && print:
				_, err := fmt.Fprint(c.OutOrStdout(), cfg.YAML())
				return err
			case len(problems) == 0:
				what := count(len(cfg.Ports), "port")
				if n := len(cfg.Tunnels); n > 0 {
					what += ", " + count(n, "tunnel")
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s: ok, %s, %s, %s\n", path, what, count(len(cfg.chains), "keychain"), count(cfg.keys(), "key"))
				return err
			default:
				for _, p := range problems {
					fmt.Fprint(c.ErrOrStderr(), p.Text())
				}
			}
			if len(problems) > 0 {
				return &exitError{status: 1}
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "the configuration `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document on standard output")
	c.Flags().BoolVar(&print, "print", false, "print the configuration with every default filled in")
	return c
}

// checkDocument is what check --json prints.
type checkDocument struct {
	File      string `json:"file"`
	OK        bool   `json:"ok"`
	Ports     int    `json:"ports"`
	Tunnels   int    `json:"tunnels"`
	Keychains int    `json:"keychains"`
	Keys      int    `json:"keys"`
	// Dataplanes are those that run would take, one a port or tunnel.
	Dataplanes []checkedDataplane `json:"dataplanes"`
	Errors     []*strict.Problem  `json:"errors"`
}

type checkedDataplane struct {
	Port      string         `json:"port,omitempty"`
	Tunnel    string         `json:"tunnel,omitempty"`
	Dataplane plan.Dataplane `json:"dataplane"`
	Reason    string         `json:"reason"`
}

func checked(path string, c *configured, problems strict.Problems) checkDocument {
	d := checkDocument{File: path, OK: len(problems) == 0, Ports: len(c.Ports), Tunnels: len(c.Tunnels), Keychains: len(c.chains), Keys: c.keys(), Errors: problems}
	d.Dataplanes = []checkedDataplane{}
	for _, p := range c.Ports {
		d.Dataplanes = append(d.Dataplanes, checkedDataplane{Port: p.Name, Dataplane: c.chosen[p.Name].Dataplane, Reason: c.chosen[p.Name].Reason})
	}
	for _, t := range c.Tunnels {
		d.Dataplanes = append(d.Dataplanes, checkedDataplane{Tunnel: t.Name, Dataplane: c.chosen[t.Name].Dataplane, Reason: c.chosen[t.Name].Reason})
	}
	if d.Errors == nil {
		d.Errors = []*strict.Problem{}
	}
	return d
}

func writeJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// count is n of a thing, its plural by s.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// noArgs refuses arguments as a usage error.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Errorf("%s takes no argument, got %q", c.Name(), args[0]))
	}
	return nil
}
