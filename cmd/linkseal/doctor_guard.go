package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/netns"
)

// guardTrial is what became of a guard in a network namespace that was thrown
// away.
type guardTrial struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

func tryGuard() guardTrial {
	ns, err := netns.New("")
	if err == nil {
		err = errors.Join(ns.Do(bpf.TryGuard), ns.Close())
	}
	if err != nil {
		return guardTrial{Detail: err.Error()}
	}
	return guardTrial{true, "a socket was refused PACKET_QDISC_BYPASS; AF_XDP transmission is refused the same way"}
}

func (g guardTrial) line(b *strings.Builder) {
	state := "ok"
	if !g.OK {
		state = "missing"
	}
	fmt.Fprintf(b, "%-8s %-24s %s\n", state, "guard of egress", g.Detail)
}

// enforced is what stands at a must-secure port now.
type enforced struct {
	Port   string `json:"port"`
	Device string `json:"device"`
	*status.Enforcement
}

// standing is what stands now at the must-secure ports of a configuration and
// below its tunnels, in this network namespace. One whose device is not there has
// no Enforcement.
func standing(cfg *config.Config) (ports []enforced, tunnels []tunnelFinding, err error) {
	k, err := reconcile.OpenKernel()
	if err != nil {
		return nil, nil, err
	}
	defer k.Close()
	for _, p := range cfg.Ports {
		if p.Must {
			ports = append(ports, enforced{p.Name, p.Device, k.Enforcement(p.Device)})
		}
	}
	return ports, tunnelFindings(cfg, machineSettings(), k.Enforcement), nil
}

func (e enforced) line(b *strings.Builder) {
	text := e.Device + " is not there, or cannot be looked at"
	if e.Enforcement != nil {
		text = e.Device + ": " + e.Enforcement.String()
	}
	fmt.Fprintf(b, "%-8s %-24s %s\n", "port", e.Port, text)
}
