package plan

import "fmt"

// ChooseTunnel says where t, for which asked is configured, runs. Auto is the
// kernel if it can, else user space. kind is WireGuard, or XFRM for IPsec;
// several says that it has several members.
func (c Capabilities) ChooseTunnel(asked Dataplane, kind LinkKind, transport, several bool) Choice {
	kernel, remedy := "", "a kernel with CONFIG_WIREGUARD"
	user, userRemedy := "", "a kernel with CONFIG_TUN and its /dev/net/tun"
	has := "the kernel has WireGuard"
	switch {
	case kind == WireGuard && c.NoWireGuard != "":
		kernel = fmt.Sprintf("the kernel has no WireGuard (%s)", c.NoWireGuard)
	case kind == WireGuard:
	case c.NoESP != "":
		kernel, remedy = fmt.Sprintf("the kernel has no ESP (%s)", c.NoESP), "a kernel with CONFIG_INET_ESP and CONFIG_XFRM_USER"
	case !transport && c.NoXFRM != "":
		kernel, remedy = fmt.Sprintf("the kernel has no XFRM interfaces (%s)", c.NoXFRM), "a kernel with CONFIG_XFRM_INTERFACE"
	}
	if kind == XFRM {
		has = "the kernel has ESP"
	}
	switch {
	case kind == XFRM && transport:
		user, userRemedy = "IPsec in user space has tunnel mode only", "mode: tunnel"
	case kind == XFRM && several:
		user, userRemedy = "IPsec in user space has one member: charon has one tun", "count: 1"
	case c.NoTap != "":
		user = fmt.Sprintf("there is no tun device (%s)", c.NoTap)
	}
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
		return Choice{Userspace, "configured", lack(user, userRemedy+", or dataplane: kernel where the kernel can")}
	case kernel == "":
		return Choice{Kernel, "auto: " + has, nil}
	case user == "":
		return Choice{Userspace, "auto: " + kernel, nil}
	}
	return Choice{Userspace, "auto: " + kernel, lack(kernel+", and "+user, remedy+"; or "+userRemedy)}
}
