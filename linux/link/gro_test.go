package link

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

func TestGRO(t *testing.T) {
	probetest.Need(t, probe.NetNS, probe.Veth)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "a"}, PeerName: "b"}); err != nil {
			return err
		}
		for _, want := range []bool{true, false, true} {
			if err := SetGRO("a", want); err != nil {
				return err
			}
			if on, err := GRO("a"); on != want || err != nil {
				t.Errorf("set %v it is %v, %v", want, on, err)
			}
		}
		if _, err := GRO("nowhere"); err == nil {
			t.Error("an interface that is not there has an answer")
		}
		if err := SetGRO("nowhere", true); err == nil {
			t.Error("an interface that is not there was set")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
