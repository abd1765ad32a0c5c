package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Overhead is what MACsec adds to a frame in octets: SecTAG with SCI (16) and
// ICV (16). A MACsec device's MTU is its parent's less this, at most.
const Overhead = 32

// AliasPrefix begins the alias of every interface that linkseal made.
const AliasPrefix = "linkseal:"

// TapMTU is the MTU in octets with which the kernel makes a tap.
const TapMTU = 1500

// UnfinishedName is the name under which a port's device is made. It gets its
// own name, and its alias, when it is as a CreateDevice step says.
const UnfinishedName = "linkseal.new"

// Alias is the interface alias of the device of the named port.
func Alias(port string) string { return AliasPrefix + port }

// MAC is a MAC address.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// Desired is what the configuration asks for.
type Desired struct {
	Ports   []Port
	Tunnels []Tunnel
}

// Port is one port as desired.
type Port struct {
	Name      string
	Device    string // the parent
	Interface string // the MACsec device on it, or the tap of a SecY in user space
	// Dataplane is Kernel or Userspace, as chosen; "" is Kernel.
	Dataplane Dataplane
	// Lack says why this machine cannot have it; nil if it can.
	Lack    *Lack
	SCIPort uint16 // with the parent's MAC address it makes the SCI
	Suite   sa.Suite
	Encrypt bool // false: integrity only
	SendSCI bool
	// ReplayWindow in packets; nil: no replay protection.
	ReplayWindow *uint32
	// Must is secure: must. With it, the parent is filtered and bare.
	// Without it (should), protect and validate belong to the SecY, which
	// moves them with the Controlled Port.
	Must bool
	MTU  int // octets; 0: what the parent's MTU leaves
	// Addresses of the interface, exactly these, IPv6 link-local ones aside.
	// nil: they are somebody else's to manage.
	Addresses []netip.Prefix
	Filter    Filter // without Must it counts only
	// Tags of the interface's frames; nil: they are not looked at.
	Tags *Tags
}

// Filter is what the filter on a parent lets through beside MACsec (0x88E5),
// both directions.
type Filter struct {
	EAPOLDestination MAC      `json:"eapol_destination"`
	EAPOLEtherType   uint16   `json:"eapol_ethertype"`
	Allow            []string `json:"allow,omitempty"` // clear protocols by name, any order
	// CountOnly lets all pass, and counts it.
	CountOnly bool `json:"count_only,omitempty"`
	// Underlay says what does not pass with CountOnly; nil: all does.
	Underlay *Underlay `json:"underlay,omitempty"`
}

// Equal compares, order in lists aside.
func (f Filter) Equal(o Filter) bool {
	return f.Underlay.equal(o.Underlay) && f.CountOnly == o.CountOnly && f.EAPOLDestination == o.EAPOLDestination && f.EAPOLEtherType == o.EAPOLEtherType &&
		slices.Equal(sorted(f.Allow), sorted(o.Allow))
}

func (f Filter) String() string {
	if f.Underlay != nil {
		return f.Underlay.String()
	}
	pass := fmt.Sprintf("MACsec and EAPOL (0x%04x to %s)", f.EAPOLEtherType, f.EAPOLDestination)
	if len(f.Allow) > 0 {
		pass += ", " + strings.Join(sorted(f.Allow), ", ")
	}
	if f.CountOnly {
		return pass + " are told from what is in clear; all pass"
	}
	return "only " + pass + " may pass"
}

func sorted(names []string) []string {
	s := slices.Clone(names)
	slices.Sort(s)
	return slices.Compact(s)
}

// Validation is a SecY's validateFrames (802.1AE 10.7.8).
type Validation uint8

// The values, numbered as the kernel does.
const (
	ValidateDisabled Validation = iota
	ValidateCheck
	ValidateStrict
)

func (v Validation) String() string {
	switch v {
	case ValidateDisabled:
		return "disabled"
	case ValidateCheck:
		return "check"
	case ValidateStrict:
		return "strict"
	}
	return fmt.Sprintf("validation %d", uint8(v))
}

// MarshalText implements encoding.TextMarshaler.
func (v Validation) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// MACsec is the parameters of a MACsec device.
type MACsec struct {
	SCI          sa.SCI
	Suite        sa.Suite
	Encrypt      bool
	SendSCI      bool
	ReplayWindow *uint32 // packets; nil: replay protection off
	Protect      bool
	Validate     Validation
}

// Observed is the machine: its links by name.
type Observed struct {
	Links map[string]Link
	// Filters are linkseal's filters by the parent's name.
	Filters map[string]Filter
	// Unreadable says of devices of must-secure ports and tunnels why it could
	// not be seen what filter they have.
	Unreadable map[string]string
	// Routes of RouteTable, without nexthops that are dead.
	Routes []Route
	// Rules has the families in which the rule for RouteTable is there.
	Rules map[Family]bool
	// HashPorts has the families in which flows are spread over nexthops by
	// their ports too.
	HashPorts map[Family]bool
	// HashBefore has the families whose flows linkseal has spread so, and were spread
	// otherwise before.
	HashBefore map[Family]string
	// MSS is what TCP is clamped to, by interface.
	MSS map[string]int
	// Fence is the one there is, whole; nil: none.
	Fence  *Fence
	NoIPv6 bool // the machine has none
	// Elsewhere is nil where it was not looked at.
	Elsewhere *Elsewhere
}

// Link is a network interface as observed.
type Link struct {
	Name    string
	Index   int // for the reconciler; no step depends on it
	Alias   string
	Kind    LinkKind // of the kinds of tunnels' interfaces; else NoLink
	IfID    uint32   // of an XFRM interface
	Parent  string   // name of the device that it stands on; "" if none is
	Up      bool     // administratively
	Carrier bool     // for the reconciler; no step depends on it
	// Promiscuous: as in a bridge. For the reconciler; no step depends on it.
	Promiscuous bool
	// Queues of a parent, in use. For the reconciler; no step depends on it.
	RxQueues, TxQueues int
	MTU                int
	MAC                MAC
	// Addresses, kernel-made IPv6 link-local ones included.
	Addresses []netip.Prefix
	// NoPrefixRoute are those that have no route to their network.
	NoPrefixRoute []netip.Prefix
	IPv6          bool    // false: disable_ipv6 is set, or the kernel has no IPv6
	MACsec        *MACsec // nil: not a MACsec device
	Tap           bool    // a tap: the device of a SecY in user space, if its alias says so
	// Tags of a port's device; nil: it has none.
	Tags *Tags
	// TagsTorn: what tags its frames is not what Tags says, on one side or both.
	TagsTorn bool
}

// secY tells the kinds of device that a port's is.
func (l Link) secY() bool { return l.MACsec != nil || l.Tap }

// dataplane is where the SecY of device l runs.
func (l Link) dataplane() Dataplane {
	if l.Tap {
		return Userspace
	}
	return Kernel
}

// port is the name of the port whose device l is.
func (l Link) port() (string, bool) {
	name, ok := strings.CutPrefix(l.Alias, AliasPrefix)
	return name, ok && l.secY()
}

// unfinished tells a device whose maker died before it had its name and alias.
func (l Link) unfinished() bool {
	return (l.secY() || l.Kind.tunnel()) && l.Name == UnfinishedName
}
