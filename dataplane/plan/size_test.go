package plan

import "testing"

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name             string
		g                Tunnel
		device, mtu, mss int
	}{
		{"as told", Tunnel{MTU: 1400, MSS: 1350}, 1300, 1400, 1350},
		{"there is room", Tunnel{MTU: 1400, MSS: 1350, Room: 65, MSSRoom: 50, LeastMTU: 68}, 1500, 1400, 1350},
		{"there is more", Tunnel{MTU: 1400, MSS: 1350, Room: 65, MSSRoom: 50, LeastMTU: 68}, 9000, 1400, 1350},
		{"less", Tunnel{MTU: 1400, MSS: 1350, Room: 65, MSSRoom: 50, LeastMTU: 68}, 1450, 1385, 1335},
		{"WireGuard pads", Tunnel{Link: TUN, MTU: 1400, MSS: 1350, Room: 60, MSSRoom: 50, LeastMTU: 68}, 1450, 1376, 1326},
		{"IPv6 wants its own", Tunnel{MTU: 1400, MSS: 1330, Room: 65, MSSRoom: 70, LeastMTU: 1280}, 1300, 1280, 1210},
		{"MSS as told, and less", Tunnel{MTU: 1400, MSS: 1350, Room: 65, LeastMTU: 68}, 1450, 1385, 1345},
		{"MSS as told", Tunnel{MTU: 1400, MSS: 1200, Room: 65, LeastMTU: 68}, 1450, 1385, 1200},
		{"no clamp", Tunnel{MTU: 1400, Room: 65, LeastMTU: 68}, 1450, 1385, 0},
		{"no device", Tunnel{MTU: 1400, MSS: 1350, Room: 65, MSSRoom: 50, LeastMTU: 68}, 0, 1400, 1350},
	} {
		if mtu, mss := c.g.sizes(c.device); mtu != c.mtu || mss != c.mss {
			t.Errorf("%s: MTU %d, MSS %d; want %d, %d", c.name, mtu, mss, c.mtu, c.mss)
		}
	}
	// On a device that a port makes in the same plan, and on one that is there.
	g := hub1()
	g.Room, g.LeastMTU, g.MSSRoom = 60, 68, 50
	for device, want := range map[string]int{"eth1": 1472, "macsec1": 1328} {
		g.Device, g.MTU = device, 9000
		d := Desired{Ports: []Port{{Interface: "macsec1", Device: "eth1", MTU: 1400}}, Tunnels: []Tunnel{g}}
		b := builder{Observed: machine(eth1())}
		b.MSS, b.up, b.gone = map[string]int{}, map[string]bool{}, map[string]bool{}
		b.tunnels(d, map[string]bool{})
		got := 0
		for _, s := range b.steps {
			got = max(got, s.MTU)
		}
		if got != want {
			t.Errorf("on %s: MTU %d, want %d: %v", device, got, want, b.steps)
		}
	}
}
