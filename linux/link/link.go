// Package link is typed access to network interfaces over rtnetlink: state,
// addresses, IPv6 autoconfiguration and events.
//
// A Handle belongs to the network namespace of the thread that called Open,
// for good: netns.NS.Do(func() error { h, err = link.Open() ... }) opens one
// elsewhere, and its methods may be called from any thread.
package link

import (
	"errors"
	"fmt"
	"net"
)

// ErrNotFound says that there is no such interface in the namespace.
var ErrNotFound = errors.New("no such interface")

// Link is an interface at one moment.
type Link struct {
	Index  int
	Name   string
	Alias  string // IFLA_IFALIAS: free text, empty if none
	Kind   string // "macsec", "veth", "tun", ...; empty for hardware
	Tap    bool   // Kind is tun, and it carries Ethernet frames
	IfID   uint32 // of an XFRM interface
	Table  uint32 // of a VRF: its routing table
	Parent int    // ifindex of the device under it (IFLA_LINK), 0 if none
	Master int    // ifindex of the bridge or bond over it, 0 if none
	MTU    int
	MAC    net.HardwareAddr
	// Up is IFF_UP, the administrator's wish; Carrier is IFF_LOWER_UP, the
	// wire's, and false while the interface is not Up.
	Up        bool
	Carrier   bool
	OperState OperState
	Mode      Mode
	// Promiscuous: it is to receive all frames, for whoever asked that.
	Promiscuous bool
	// RxQueues and TxQueues are how many it has room for; see Handle.Queues.
	RxQueues, TxQueues int
}

// IsDormant tells whether l is as SetDormant(dormant) makes it. What the
// carrier decides alone, without it, is as asked.
func (l Link) IsDormant(dormant bool) bool {
	mode, not := ModeDefault, OperDormant
	if dormant {
		mode, not = ModeDormant, OperUp
	}
	return l.Mode == mode && l.OperState != not && l.OperState != OperUnknown
}

// OperState is an operational state (RFC 2863; include/uapi/linux/if.h).
type OperState uint8

const (
	OperUnknown OperState = iota
	OperNotPresent
	OperDown
	OperLowerLayerDown
	OperTesting
	OperDormant // up, and waiting for a supplicant
	OperUp
)

func (s OperState) String() string {
	names := [...]string{"unknown", "not-present", "down", "lower-layer-down", "testing", "dormant", "up"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("operstate %d", uint8(s))
}

// Mode says who decides that an interface with carrier is up (IFLA_LINKMODE;
// Documentation/networking/operstates.rst).
type Mode uint8

const (
	// ModeDefault: the kernel. Carrier makes it UP.
	ModeDefault Mode = 0
	// ModeDormant: a supplicant. Carrier makes it DORMANT, and SetOperState
	// makes it UP until the carrier goes.
	ModeDormant Mode = 1
)

func (m Mode) String() string {
	switch m {
	case ModeDefault:
		return "default"
	case ModeDormant:
		return "dormant"
	}
	return fmt.Sprintf("link mode %d", uint8(m))
}
