package plan

import (
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Dataplane is where a port's SecY runs.
type Dataplane string

// The dataplanes. Auto is only asked for, never chosen.
const (
	Auto      Dataplane = "auto"
	Kernel    Dataplane = "kernel"
	Userspace Dataplane = "userspace"
)

// dataplane is p's, and never "".
func (p Port) dataplane() Dataplane {
	if p.Dataplane == Userspace {
		return Userspace
	}
	return Kernel
}

// Capabilities is what a machine lacks of what SecYs and tunnels need: each says
// why, or is "" where nothing is known to be missing.
type Capabilities struct {
	NoMACsec    string // MACsec in the kernel, with gcm(aes)
	NoXPN       string // the XPN suites of the kernel's MACsec
	NoTap       string // tap devices with several queues; and tuns
	NoWireGuard string // WireGuard in the kernel
	NoESP       string // ESP in the kernel
	NoXFRM      string // XFRM interfaces

	// Untried is why it is not known whether more is missing, and may be found out later.
	Untried string
}

// Choice is where a port's SecY, or a tunnel, runs, and why there.
type Choice struct {
	Dataplane Dataplane // Kernel or Userspace
	Reason    string
	Lack      *Lack // why it cannot run there; nil if it can
}

// Lack is what a machine is missing, with what to do about it.
type Lack struct{ Cause, Remedy string }

// Choose says where a port for which asked is configured runs its SecY. Auto
// is the kernel if it can, else user space.
func (c Capabilities) Choose(asked Dataplane, suite sa.Suite) Choice {
	kernel, remedy := "", "a kernel with CONFIG_MACSEC"
	switch {
	case c.NoMACsec != "":
		kernel = fmt.Sprintf("the kernel has no MACsec (%s)", c.NoMACsec)
	case suite.XPN() && c.NoXPN != "":
		kernel = fmt.Sprintf("the kernel's MACsec has no %s (%s)", suite, c.NoXPN)
		remedy = "Linux 5.7 or later, or a cipher without xpn"
	}
	tap := ""
	if c.NoTap != "" {
		tap = fmt.Sprintf("there is no tap device (%s)", c.NoTap)
	}
	const tapRemedy = "a kernel with CONFIG_TUN and its /dev/net/tun"
	lack := func(cause, remedy string) *Lack {
		if cause == "" {
			return nil
		}
		return &Lack{fmt.Sprintf("dataplane %s: %s", asked, cause), remedy}
	}
	switch {
	case asked == Kernel:
		return Choice{Kernel, "configured", lack(kernel, "dataplane: userspace or auto, or "+remedy)}
	case asked == Userspace:
		return Choice{Userspace, "configured", lack(tap, tapRemedy+", or dataplane: kernel where the kernel has MACsec")}
	case kernel == "":
		return Choice{Kernel, "auto: the kernel has MACsec", nil}
	case tap == "":
		return Choice{Userspace, "auto: " + kernel, nil}
	}
	return Choice{Userspace, "auto: " + kernel, lack(kernel+", and "+tap, remedy+"; or "+tapRemedy)}
}
