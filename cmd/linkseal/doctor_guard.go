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

// enforcedPorts are those of a configuration, in this network namespace. One
// whose device is not there has no Enforcement.
func enforcedPorts(cfg *config.Config) ([]enforced, error) {
	k, err := reconcile.OpenKernel()
	if err != nil {
		return nil, err
	}
	defer k.Close()
	var all []enforced
	for _, p := range cfg.Ports {
		if p.Must {
			all = append(all, enforced{p.Name, p.Device, k.Enforcement(p.Device)})
		}
	}
	return all, nil
}

func (e enforced) line(b *strings.Builder) {
	text := e.Device + " is not there, or cannot be looked at"
	if e.Enforcement != nil {
		text = e.Device + ": " + e.Enforcement.String()
	}
	fmt.Fprintf(b, "%-8s %-24s %s\n", "port", e.Port, text)
}
