package link

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// The queues in use are fewer than those that there is room for.
func TestQueues(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var h *Handle
	if err := ns.Do(func() error {
		if h, err = Open(); err != nil {
			return err
		}
		return errors.Join(
			netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a", NumRxQueues: 3, NumTxQueues: 2}, PeerName: "b"}),
			netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "c", NumTxQueues: 4, NumRxQueues: 4}}))
	}); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for name, want := range map[string]Queues{"a": {3, 2}, "c": {4, 4}} {
		l, err := h.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := h.Queues(l); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
		if name == "a" {
			l.RxQueues, l.TxQueues = 64, 64
			if got, err := h.Queues(l); err != nil || got != want {
				t.Errorf("with room for 64: %+v, %v", got, err)
			}
		}
	}
}
