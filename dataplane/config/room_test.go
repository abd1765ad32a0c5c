package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestFilterRoom(t *testing.T) {
	tunnels := func(n, count int, must string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "  - {name: t%d, type: wireguard, device: eth1, interface: w%d, local: 10.0.0.4, remote: 10.9.0.5, secure: %s, count: %d, protect: [10.%d.%d.0/24], wireguard: {port: %d, peer_public_key: \"%s\"}}\n",
				i, i, must, count, 32+i/256, i%256, 10000+i*count, oneKey)
		}
		return tunnelsOf(b.String())
	}
	for _, c := range []struct {
		yaml, want string
	}{
		{tunnels(256, 16, "must"), ""},
		{tunnels(257, 16, "must"), "tunnels up to t256 are 16448 flows on device eth1, by direction, ends, ports and SPIs; its filter has room for 16384; accepted: smaller counts"},
		{tunnels(257, 16, "should"), ""},
	} {
		_, err := Parse("f", c.yaml)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Count(got, "\n") > 2 {
			t.Errorf("%.400s; want %q", got, c.want)
		}
	}
}
