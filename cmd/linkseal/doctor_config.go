package main

import (
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/probe"
)

// requirements are what the ports of a configuration need of the machine.
func requirements(cfg *config.Config) []requirement {
	var out []requirement
	for _, p := range cfg.Ports {
		why := "port " + p.Name
		need := func(why string, anyOf ...probe.Feature) {
			out = append(out, requirement{anyOf, why})
		}
		need(why, probe.CapNetAdmin)
		need(why, probe.CapNetRaw)
		need(why, probe.AFPacket)
		need(why, probe.MACsec)
		need(why, probe.MACsecGCM)
		if strings.Contains(string(p.Cipher), "xpn") {
			need(fmt.Sprintf("cipher %s of %s", p.Cipher, why), probe.MACsecXPN)
		}
		if p.Must {
			must := "secure: must of " + why
			need(must, probe.CapBPF)
			need(must, probe.CapSysAdmin) // to read a filter back from its device
			need(must, probe.BPF)
			need(must, probe.XDPNative, probe.XDPGeneric)
			need(must, probe.TCX, probe.Clsact)
		}
	}
	return out
}
