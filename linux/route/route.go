// Package route is typed access to the routes and policy rules of a network
// namespace over rtnetlink, as far as tunnels need them: routes over interfaces,
// and those that end a lookup.
//
// A Handle belongs to the network namespace of the thread that called Open, for
// good; its methods may be called from any thread.
package route

import (
	"errors"
	"fmt"
	"net/netip"
)

// Family is of an address, as sockets number it.
type Family uint8

// The families (AF_INET, AF_INET6).
const (
	IPv4 Family = 2
	IPv6 Family = 10
)

// FamilyOf is that of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	return fmt.Sprintf("family %d", uint8(f))
}

// Tables of every namespace.
const (
	TableDefault = 253
	TableMain    = 254
	TableLocal   = 255
)

// Type is a route's (RTN_*).
type Type uint8

// The types that are known here by name; others are read as they are.
const (
	Unicast     Type = 1
	Local       Type = 2
	Broadcast   Type = 3
	Anycast     Type = 4
	Multicast   Type = 5
	Blackhole   Type = 6
	Unreachable Type = 7
	Prohibit    Type = 8
	Throw       Type = 9
)

func (t Type) String() string {
	names := [...]string{"", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw"}
	if int(t) < len(names) && t > 0 {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Route is a route at one moment.
type Route struct {
	Table  int
	Prefix netip.Prefix
	Type   Type
	Metric uint32 // less wins
	// Nexthops are the interfaces of a Unicast route; none of one that has a
	// nexthop object.
	Nexthops []Nexthop
}

// Nexthop is an interface that a route leads over.
type Nexthop struct {
	Index   int
	Gateway netip.Addr // the zero one: none
	Dead    bool       // it carries nothing
}

// Rule is a policy rule at one moment.
type Rule struct {
	Family   Family
	Priority uint32 // less comes first
	Table    int    // 0: it looks up none
	// All tells that it is asked for every packet: it has no selector.
	All bool
	// L3 is the rule of VRFs, whose table is that of the device.
	L3 bool
	// Goto is the priority of the rule at which the lookup goes on, past those
	// between; 0: it does not, or there is none.
	Goto uint32
}

// ErrNoFamily says that the kernel has none of that family.
var ErrNoFamily = errors.New("the kernel does not have this family")
