package bpf

import (
	"fmt"
	"slices"
)

// Protocol is a link-local protocol that may be let through in clear, by the
// name that the configuration has for it.
type Protocol string

// The protocols.
const (
	LLDP   Protocol = "lldp"   // Link Layer Discovery (802.1AB)
	LACP   Protocol = "lacp"   // Link Aggregation Control (802.1AX 6.4)
	Marker Protocol = "marker" // Link Aggregation's Marker (802.1AX 6.5)
	OAM    Protocol = "oam"    // Ethernet link OAM (802.3 clause 57)
	ESMC   Protocol = "esmc"   // synchronous Ethernet's messages (G.8264)
	PTP    Protocol = "ptp"    // precision time over Ethernet (1588 annex E)
	Pause  Protocol = "pause"  // flow control (802.3 annex 31B, 802.1Qbb)
)

// traits is how a protocol is told on the wire.
type traits struct {
	etherType    uint16
	subtype      uint8 // the octet after the EtherType; 0: not looked at
	destinations [][6]byte
}

func bridgeGroup(last byte) [6]byte { return [6]byte{0x01, 0x80, 0xc2, 0, 0, last} }

// The subtypes are those of slow protocols (802.3 table 57A-3); ESMC is the
// ITU's organization specific one, 0x0a.
var protocols = map[Protocol]traits{
	LLDP:   {0x88cc, 0, [][6]byte{bridgeGroup(0x0e), bridgeGroup(0x03), bridgeGroup(0x00)}},
	LACP:   {0x8809, 1, [][6]byte{bridgeGroup(0x02)}},
	Marker: {0x8809, 2, [][6]byte{bridgeGroup(0x02)}},
	OAM:    {0x8809, 3, [][6]byte{bridgeGroup(0x02)}},
	ESMC:   {0x8809, 10, [][6]byte{bridgeGroup(0x02)}},
	PTP:    {0x88f7, 0, [][6]byte{{0x01, 0x1b, 0x19, 0, 0, 0}, bridgeGroup(0x0e)}},
	Pause:  {0x8808, 0, [][6]byte{bridgeGroup(0x01)}},
}

// Protocols lists all of them, by name.
func Protocols() []Protocol {
	var all []Protocol
	for p := range protocols {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// ParseProtocol finds a protocol by its name.
func ParseProtocol(name string) (Protocol, error) {
	if _, ok := protocols[Protocol(name)]; !ok {
		return "", fmt.Errorf("protocol %q is unknown; accepted are %v", name, Protocols())
	}
	return Protocol(name), nil
}
