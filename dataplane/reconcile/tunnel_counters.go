package reconcile

import (
	"maps"
	"slices"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/xfrm"
)

// countedBy are the interfaces of t that count what it drops, those that a Session
// made too, and whether the kernel's IPsec does.
func countedBy(t *config.Tunnel, dataplane plan.Dataplane, members []status.Member) (interfaces []string, ipsec bool) {
	for n := range t.Count {
		if name := t.MemberInterface(n); name != "" {
			interfaces = append(interfaces, name)
		}
	}
	for _, m := range members {
		if m.Interface != "" && !slices.Contains(interfaces, m.Interface) {
			interfaces = append(interfaces, m.Interface)
		}
	}
	return interfaces, t.IPsec != nil && dataplane == plan.Kernel
}

// Dropped implements Machine.
func (k *Kernel) Dropped(interfaces []string, ipsec bool) map[string]map[string]uint64 {
	all := make(map[string]map[string]uint64)
	for _, name := range interfaces {
		if c, err := k.links.Counters(name); err == nil {
			all[name] = map[string]uint64{"rx_dropped": c.RxDropped, "rx_errors": c.RxErrors, "tx_dropped": c.TxDropped, "tx_errors": c.TxErrors}
		}
	}
	if !ipsec {
		return all
	}
	_ = k.ns.Do(func() error { // without its table there is nothing to tell
		c, err := xfrm.Read()
		if err == nil {
			of := map[string]uint64{"rx_errors": c.RxErrors, "tx_errors": c.TxErrors}
			maps.Copy(of, c.By)
			all[status.XFRM] = of
		}
		return err
	})
	return all
}

// Fenced implements Machine.
func (k *Kernel) Fenced() *status.Fenced {
	packets, octets, there, err := k.nft.Fenced()
	if err != nil || !there { // an error is the next look's to tell
		return nil
	}
	return &status.Fenced{Packets: packets, Octets: octets}
}
