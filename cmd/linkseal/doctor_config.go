package main

import (
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/probe"
)

// chooseAuto tells which dataplane `auto` takes on a machine that can as said.
func chooseAuto(can plan.Capabilities) autoChoice {
	plain, xpn := can.Choose(plan.Auto, sa.GCMAES256), can.Choose(plan.Auto, sa.GCMAESXPN256)
	reason := func(c plan.Choice) string { return strings.TrimPrefix(c.Reason, string(plan.Auto)+": ") }
	switch {
	case plain.Lack != nil:
		return autoChoice{"", fmt.Sprintf("neither, %s; %s", strings.TrimPrefix(plain.Lack.Cause, "dataplane auto: "), plain.Lack.Remedy)}
	case plain.Dataplane != plan.Kernel:
		return autoChoice{string(plain.Dataplane), reason(plain)}
	case xpn.Lack != nil:
		return autoChoice{string(plan.Kernel), "the kernel has MACsec; the XPN suites are nowhere: " + reason(xpn)}
	case xpn.Dataplane != plan.Kernel:
		return autoChoice{string(plan.Kernel), fmt.Sprintf("the kernel has MACsec; %s for the XPN suites: %s", xpn.Dataplane, reason(xpn))}
	}
	return autoChoice{string(plan.Kernel), "the kernel has MACsec with every suite"}
}

// requirements are what the ports and tunnels of a configuration need of a
// machine that can as said: those of the dataplane that each takes there.
func requirements(cfg *config.Config, can plan.Capabilities) []requirement {
	chosen := reconcile.Choose(cfg, can)
	var out []requirement
	for _, p := range cfg.Ports {
		why := "port " + p.Name
		need := func(why string, anyOf ...probe.Feature) {
			out = append(out, requirement{anyOf, why})
		}
		need(why, probe.CapNetAdmin)
		need(why, probe.CapNetRaw)
		need(why, probe.AFPacket)
		choice := chosen[p.Name]
		switch {
		case choice.Dataplane == plan.Userspace && choice.Lack != nil && p.Dataplane == config.Auto:
			need(why, inKernel(p, can), probe.Tap) // either will do
		case choice.Dataplane == plan.Userspace:
			need("dataplane userspace of "+why, probe.Tap)
		default:
			need(why, probe.MACsec)
			need(why, probe.MACsecGCM)
			if p.Cipher.Suite().XPN() {
				need(fmt.Sprintf("cipher %s of %s", p.Cipher, why), probe.MACsecXPN)
			}
		}
		if p.Must {
			out = append(out, filterRequirements("secure: must of "+why)...)
		}
		if p.Tags != nil {
			tags := "tags of " + why
			need(tags, probe.CapBPF)
			need(tags, probe.CapSysAdmin)
			need(tags, probe.BPF)
			need(tags, probe.TCX, probe.Clsact)
		}
	}
	return append(out, tunnelRequirements(cfg, can)...)
}

// inKernel is what keeps p out of a kernel that lacks something for it; the
// trial of a suite needs MACsec.
func inKernel(p config.Port, can plan.Capabilities) probe.Feature {
	if can.NoMACsec == "" && p.Cipher.Suite().XPN() {
		return probe.MACsecXPN
	}
	return probe.MACsecGCM
}
