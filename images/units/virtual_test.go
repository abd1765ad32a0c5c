package units

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// In Azure with accelerated networking an interface has a second device of the same
// address, below it, which is nobody's to configure.
func TestVirtualFunction(t *testing.T) {
	const property = "LINKSEAL_VF"
	network := read(t, "systemd/network/05-linkseal-vf.network")
	if !strings.Contains(network, "[Match]\nProperty="+property+"=1\n") || !strings.Contains(network, "\n[Link]\nUnmanaged=yes\n") {
		t.Error(network)
	}
	rules, set := read(t, "udev/rules.d/81-linkseal-vf.rules"), 0
	for line := range strings.Lines(rules) {
		if !strings.Contains(line, "ENV{"+property+`}="1"`) {
			continue
		}
		set++
		if !strings.HasPrefix(line, `SUBSYSTEM=="net", ACTION!="remove", DRIVERS=="hv_pci", `) {
			t.Errorf("it is not a network device of Hyper-V's PCI alone: %s", line)
		}
		slave := regexp.MustCompile(`ATTR\{flags\}=="([^"]+)"`).FindStringSubmatch(line)
		if slave == nil {
			if !strings.Contains(line, `ATTR{[dmi/id]chassis_asset_tag}=="7783-7084-3265-9085-8269-3286-77"`) {
				t.Errorf("it is no slave, nor in Azure: %s", line)
			}
			continue
		}
		for flags, want := range map[string]bool{"0x1803": true, "0x803": true, "0x1902": true, "0x1c43": true, "0x1003": false, "0x1002": false, "0x8003": false, "0x3": false} {
			if got, err := filepath.Match(slave[1], flags); err != nil || got != want {
				t.Errorf("%s: %t, %v", flags, got, err)
			}
		}
	}
	if set != 2 {
		t.Errorf("%d rules set %s:\n%s", set, property, rules)
	}
	// networkd takes the first file that matches, also before those by MAC address.
	for _, other := range []string{"10-linkseal-eth0.network", "50-provisioned-01.network", "80-linkseal-dhcp.network"} {
		if "05-linkseal-vf.network" >= other {
			t.Errorf("after %s", other)
		}
	}
}
