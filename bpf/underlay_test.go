package bpf

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"
)

func TestPrefixKey(t *testing.T) {
	port, err := portSpec()
	if err != nil {
		t.Fatal(err)
	}
	spec := port.Maps[portMapProtect].InnerMap
	if got := uint32(unsafe.Sizeof(prefixKey{})); got != spec.KeySize || spec.MaxEntries != MaxPrefixes {
		t.Errorf("a key of %d octets, %d prefixes; the object has %d and %d", got, MaxPrefixes, spec.KeySize, spec.MaxEntries)
	}
	for _, name := range []string{portMapFlows4, portMapFlows6, portMapFlows, portMapFlowFirsts} {
		if n := port.Maps[name].MaxEntries; n != maxFlows || n < 2*MaxFlowIDs {
			t.Errorf("map %s has room for %d", name, n)
		}
	}
}

func TestUnderlayRefuses(t *testing.T) {
	prefix := netip.MustParsePrefix
	zoned := netip.MustParseAddr("fe80::1%eth0")
	for want, u := range map[string]Underlay{
		"IPv4 or IPv6":             {Protect: []netip.Prefix{{}}},
		"IPv4 or IPv6, with":       {Protect: []netip.Prefix{prefix("::ffff:10.0.0.0/104")}},
		"ipsec or wireguard":       {Flows: []Flow{{Protocol: ESP, Local: local4, Remote: remote4}}},
		"local must be":            {Flows: []Flow{{Protocol: IPsec, Local: zoned, Remote: remote6}}},
		"of local's family":        {Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: remote6}}},
		"remote must be":           {Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: netip.IPv4Unspecified()}}},
		"what roams is wireguard":  {Flows: []Flow{{Protocol: IPsec, Local: local4, Roams: true}}},
		"has no remote address":    {Flows: []Flow{{Protocol: WireGuard, Local: local4, Remote: remote4, LocalPort: 1, Roams: true}}},
		"no ports but 500":         {Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: remote4, LocalPort: 500}}},
		"no SPIs":                  {Flows: []Flow{{Protocol: WireGuard, Local: local4, Remote: remote4, LocalPort: 1, RemotePort: 1, AnySPI: true}}},
		"needs its ports":          {Flows: []Flow{{Protocol: WireGuard, Local: local4, Remote: remote4, LocalPort: 1}}},
		"are those of ipsec":       {Flows: []Flow{{Protocol: WireGuard, Local: local4, LocalPort: 4500, Roams: true}}},
		"SPI 0":                    {Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: remote4, SPIOut: []uint32{0}}}},
		"16385 protected prefixes": {Protect: many(MaxPrefixes + 1)},
		"16387 flows":              {Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: remote4, SPIIn: spis(MaxFlowIDs - 1)}}},
	} {
		if _, _, err := u.wanted(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want an error with %q", err, want)
		}
	}
	if _, _, err := (Underlay{Protect: many(MaxPrefixes), Flows: hub.Flows}).wanted(); err != nil {
		t.Error(err)
	}
}

func many(n int) (all []netip.Prefix) {
	a := netip.MustParseAddr("10.0.0.0")
	for range n {
		all = append(all, netip.PrefixFrom(a, 32))
		a = a.Next()
	}
	return all
}

func spis(n int) (all []uint32) {
	for i := range n {
		all = append(all, uint32(i+1))
	}
	return all
}

// What is written into a key is read out of it.
func TestFlowKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		port := rapid.Uint16Range(1, 65535)
		id := FlowID{Protocol: rapid.SampledFrom([]FlowProtocol{ESP, IKE, WireGuard}).Draw(t, "protocol"), Egress: rapid.Bool().Draw(t, "egress")}
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		addr := func(name string) netip.Addr {
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, name))
			return a
		}
		id.Local, id.Remote = netip.AddrPortFrom(addr("local"), 0), netip.AddrPortFrom(addr("remote"), 0)
		if id.Protocol == ESP {
			id.SPI = rapid.Uint32().Draw(t, "SPI")
		} else {
			id.Local = netip.AddrPortFrom(id.Local.Addr(), port.Draw(t, "local port"))
			id.Remote = netip.AddrPortFrom(id.Remote.Addr(), port.Draw(t, "remote port"))
			if id.Protocol == WireGuard && rapid.Bool().Draw(t, "roams") {
				id.Remote = netip.AddrPort{}
			}
		}
		got := FlowID{}
		if id.is4() {
			got = id.key4().id(uint32(id.Protocol))
		} else {
			got = id.key6().id(uint32(id.Protocol))
		}
		if got != id {
			t.Fatalf("%+v became %+v", id, got)
		}
	})
}

// A flow that stays keeps its counter; one that comes has one from 0, also where
// another had it.
func TestUnderlaySet(t *testing.T) {
	p := loaded(t, overlay)
	u, err := underlayOf(p.held)
	if err != nil {
		t.Fatal(err)
	}
	run := func(spi, sequence uint32) {
		t.Helper()
		frame := octets(t, ether("0800", v4(remote4, local4, 50, 0, esp(spi, sequence))), 60)
		if _, err := p.in.Run(&ebpf.RunOptions{Data: frame}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() map[uint32]FlowCounter {
		t.Helper()
		all, err := u.counters()
		if err != nil {
			t.Fatal(err)
		}
		in := map[uint32]FlowCounter{}
		for _, c := range all {
			if c.Protocol == ESP && !c.Egress && c.Local.Addr() == local4 {
				in[c.SPI] = c
			}
		}
		return in
	}
	flow := func(spi ...uint32) Underlay {
		return Underlay{Protect: hub.Protect, Flows: []Flow{{Protocol: IPsec, Local: local4, Remote: remote4, SPIIn: spi}}}
	}
	set := func(w Underlay) {
		t.Helper()
		if err := u.set(w); err != nil {
			t.Fatal(err)
		}
		s, err := u.state(0)
		if err != nil {
			t.Fatal(err)
		}
		if !s.says(&w) || s.says(&hub) || s.says(nil) {
			t.Errorf("state %+v after %+v", s, w)
		}
	}
	set(flow(1, 2))
	for _, sequence := range []uint32{10, 11, 15, 14} {
		run(1, sequence)
	}
	run(2, 0xffffffff)
	run(2, 1)
	got := read()
	if c := got[1]; c.Packets != 4 || c.Low != 10 || c.High != 15 || c.Gaps() != 2 || time.Since(c.Seen) > time.Minute {
		t.Errorf("SPI 1: %+v, gaps %d", c, c.Gaps())
	}
	if c := got[2]; c.Packets != 2 || c.Low != 0xffffffff || c.High != 1 || c.Gaps() != 1 {
		t.Errorf("SPI 2, around 0: %+v, gaps %d", c, c.Gaps())
	}
	set(flow(2, 3))
	set(flow(2, 3, 4))
	after := read()
	if _, there := after[1]; there || after[2].Counter != got[2].Counter {
		t.Errorf("after a change: %+v, before: %+v", after, got)
	}
	for _, spi := range []uint32{3, 4} {
		if c := after[spi]; c.Packets != 0 || !c.Seen.IsZero() || c.Low != 0 {
			t.Errorf("SPI %d, which is new: %+v", spi, c)
		}
	}
	if err := u.set(Underlay{Protect: []netip.Prefix{{}}}); err == nil {
		t.Error("a bad set is taken")
	}
	if s, err := u.state(0); err != nil || !slices.Equal(s.Protect, hub.Protect) {
		t.Errorf("state after a bad set: %+v, %v", s, err)
	}
}

// Other ports have no room for flows, and say so.
func TestNotUnderlay(t *testing.T) {
	p := loaded(t, plain)
	if _, err := underlayOf(p.held); err != ErrNotUnderlay {
		t.Errorf("maps of a port that is none: %v", err)
	}
	if n := p.in.maps[portMapFlows].MaxEntries(); n != 1 {
		t.Errorf("room for %d flows", n)
	}
}
