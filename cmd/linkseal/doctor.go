package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/linux/probe"
)

// finding is one line of the doctor.
type finding struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Since    string `json:"since,omitempty"` // kernel version
	Detail   string `json:"detail"`
	Remedy   string `json:"remedy,omitempty"`
}

// limit is what linkseal does not do, or cannot see, on any machine.
type limit struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Detail string `json:"detail"`
}

// autoChoice is what `dataplane: auto` takes on this machine.
type autoChoice struct {
	Takes  string `json:"takes"` // "kernel", "userspace" or "": neither is there
	Reason string `json:"reason"`
}

// examination is all that the doctor found.
type examination struct {
	Version  string     `json:"version"`
	Kernel   string     `json:"kernel"`
	Features []finding  `json:"features"`
	Auto     autoChoice `json:"dataplane_auto"`
	// TunnelAuto is the same of tunnels.
	TunnelAuto tunnelAuto      `json:"tunnels_auto"`
	Guard      guardTrial      `json:"guard"`
	Ports      []enforced      `json:"ports,omitempty"`   // of --config, must-secure
	Tunnels    []tunnelFinding `json:"tunnels,omitempty"` // of --config
	Limits     []limit         `json:"limits"`
	Missing    []string        `json:"missing"` // what was required and is not there
}

var limits = []limit{
	{"macsec_offload", "NIC MACsec offload", "refused for now: the kernel's software MACsec encrypts; leave offload off (ip macsec offload DEV off)"},
	{"qdisc_bypass", "PACKET_QDISC_BYPASS", "tc egress does not see such frames; where the guard stands no socket gets it, but one had before, and one of a 32 bit program: give CAP_NET_RAW to nobody else in the port's network namespace"},
	{"af_xdp_transmit", "AF_XDP transmit", "passes tc egress by as well, and the guard refuses it to others than linkseal, with the same exceptions"},
	{"past_tc", "pktgen, netconsole", "transmit past tc egress too, and nothing refuses it: do not load these modules where a port is must-secure"},
	{"prog_run", "BPF_PROG_RUN, live frames", "sends from a port, or has it receive, what neither XDP nor tc sees, and nothing refuses it: give CAP_BPF and CAP_NET_ADMIN to nobody else"},
	{"xdp_redirect", "XDP redirect to a port", "what another device's XDP program sends to a port passes tc egress by, and nothing refuses it: give CAP_BPF and CAP_NET_ADMIN to nobody else; nor is forwarding in a NIC's hardware seen"},
}

// requirement holds if any of its features is there.
type requirement struct {
	anyOf []probe.Feature
	why   string
}

func doctorVerb() *cobra.Command {
	var asJSON bool
	var need []string
	var file string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what this machine can and cannot do, and what to do about it",
		Long: `Try each feature of the kernel and of the machine that linkseal uses, most of
them in a network namespace that is thrown away, and tell which are there, and
what to do about those that are not. Exit status 1 if something required is
missing: by the ports and tunnels of --config FILE, or by --need, by the id that
--json shows.

Of tunnels that is WireGuard (the kernel's, or a tun for linkseal's own), ESP and
XFRM interfaces, charon and its plugins, policy routing, multipath routes,
nftables; and with --config also rp_filter on the device of each, and whether
packets are forwarded.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			check := once(probe.Feature.Check)
			required, err := named(need)
			if err != nil {
				return usage(err)
			}
			var ports []enforced
			var tunnels []tunnelFinding
			if file != "" {
				cfg, err := config.Load(file)
				if err != nil {
					return err
				}
				required = append(required, requirements(cfg, reconcile.Capabilities(check))...)
				if ports, tunnels, err = standing(cfg); err != nil {
					return err
				}
			}
			x := examine(check, required)
			x.Guard, x.Ports, x.Tunnels = tryGuard(), ports, tunnels
			for _, t := range tunnels {
				x.Missing = append(x.Missing, t.missing()...)
			}
			if err := x.write(c.OutOrStdout(), asJSON); err != nil {
				return err
			}
			if len(x.Missing) > 0 {
				return fmt.Errorf("this machine lacks what is required: %s", strings.Join(x.Missing, "; "))
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", "", "what this configuration `FILE` needs has to be there")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	c.Flags().StringSliceVar(&need, "need", nil, "features that have to be there, by `ID`")
	return c
}

// once is check, that tries each feature once.
func once(check func(probe.Feature) probe.Result) func(probe.Feature) probe.Result {
	results := map[probe.Feature]probe.Result{}
	return func(f probe.Feature) probe.Result {
		res, done := results[f]
		if !done {
			res = check(f)
			results[f] = res
		}
		return res
	}
}

// named turns feature ids into requirements.
func named(ids []string) ([]requirement, error) {
	var out []requirement
	for _, id := range ids {
		f, ok := probe.ByID(id)
		if !ok {
			var all []string
			for _, f := range probe.All() {
				all = append(all, f.ID())
			}
			return nil, fmt.Errorf("--need %s: no such feature; there are %s", id, strings.Join(all, ", "))
		}
		out = append(out, requirement{[]probe.Feature{f}, "--need"})
	}
	return out, nil
}

// examine tries everything with check.
func examine(check func(probe.Feature) probe.Result, required []requirement) *examination {
	x := &examination{Version: version(), Limits: limits, Missing: []string{}}
	if v, err := probe.Kernel(); err == nil {
		x.Kernel = v.String()
	}
	results := map[probe.Feature]probe.Result{}
	for _, f := range probe.All() {
		res := check(f)
		results[f] = res
		fi := finding{ID: f.ID(), Name: f.String(), OK: res.OK, Detail: res.Detail, Remedy: res.Remedy}
		if f.Since() != (probe.Version{}) {
			fi.Since = f.Since().String()
		}
		x.Features = append(x.Features, fi)
	}
	for i, f := range probe.All() {
		x.Features[i].Required = slices.ContainsFunc(required, func(r requirement) bool { return r.hangsOn(f, results) })
	}
	for _, r := range required {
		if !slices.ContainsFunc(r.anyOf, func(f probe.Feature) bool { return results[f].OK }) {
			x.Missing = append(x.Missing, r.String())
		}
	}
	can := reconcile.Capabilities(func(f probe.Feature) probe.Result { return results[f] })
	x.Auto, x.TunnelAuto = chooseAuto(can), chooseTunnelAuto(can, results[probe.Charon])
	return x
}

// hangsOn tells whether f has to be there: no other of anyOf is.
func (r requirement) hangsOn(f probe.Feature, results map[probe.Feature]probe.Result) bool {
	return slices.Contains(r.anyOf, f) && !slices.ContainsFunc(r.anyOf, func(o probe.Feature) bool { return o != f && results[o].OK })
}

func (r requirement) String() string {
	names := make([]string, len(r.anyOf))
	for i, f := range r.anyOf {
		names[i] = f.String()
	}
	return fmt.Sprintf("%s (for %s)", strings.Join(names, " or "), r.why)
}

func (x *examination) write(w io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(x)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "linkseal %s on Linux %s\n", x.Version, x.Kernel)
	for _, f := range x.Features {
		state, text := "ok", f.Detail
		if !f.OK {
			state = "missing"
			text += "; " + f.Remedy
		}
		mark := ""
		if f.Required {
			mark = " (required)"
		}
		fmt.Fprintf(&b, "%-8s %-24s %s%s\n", state, f.Name, text, mark)
	}
	for _, l := range x.Limits {
		fmt.Fprintf(&b, "%-8s %-24s %s\n", "note", l.Name, l.Detail)
	}
	takes := x.Auto.Takes
	if takes != "" {
		takes += ": "
	}
	fmt.Fprintf(&b, "%-8s %-24s %s%s\n", "note", "dataplane: auto", takes, x.Auto.Reason)
	x.TunnelAuto.lines(&b)
	x.Guard.line(&b)
	for _, p := range x.Ports {
		p.line(&b)
	}
	for _, t := range x.Tunnels {
		t.lines(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
