package plan

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
)

// Kind says what a Step does. Its text is part of `plan --json`.
type Kind string

// The kinds of step. Every one is idempotent when applied.
const (
	// SetFilter puts Filter on Device, or replaces the one there, at once.
	SetFilter Kind = "set-filter"
	// RemoveAddress takes Address off Link.
	RemoveAddress Kind = "remove-address"
	// DisableIPv6 sets disable_ipv6 on Link.
	DisableIPv6 Kind = "disable-ipv6"
	// DeleteDevice deletes the port's device Link.
	DeleteDevice Kind = "delete-device"
	// CreateDevice makes Link on Device, in link mode DORMANT (the SecY says
	// when it is usable), down, with the alias of Port. Dataplane says what
	// it is: Kernel, a MACsec device with MACsec; Userspace, a persistent tap
	// with Device's MAC address and without carrier, whose SecY takes MACsec
	// from the configuration.
	CreateDevice Kind = "create-device"
	// ChangeDevice gives the live MACsec device Link the parameters MACsec.
	ChangeDevice Kind = "change-device"
	// SetMAC gives the tap Link the address MAC.
	SetMAC Kind = "set-mac"
	// SetMTU sets Link's MTU.
	SetMTU Kind = "set-mtu"
	// AddAddress puts Address on Link.
	AddAddress Kind = "add-address"
	// SetTags has the frames of Link counted and tagged by Tags, in place of what
	// it has, at once.
	SetTags Kind = "set-tags"
	// RemoveTags undoes SetTags.
	RemoveTags Kind = "remove-tags"
	// SetUp brings Link up.
	SetUp Kind = "set-up"
	// EnableIPv6 undoes DisableIPv6.
	EnableIPv6 Kind = "enable-ipv6"
	// CountFrames puts Filter, which is CountOnly, on Device, or in the place of
	// one that lets less pass.
	CountFrames Kind = "count-frames"
	// RemoveFilter takes linkseal's filter off Device.
	RemoveFilter Kind = "remove-filter"
	// SetUnderlay puts Filter, which has an Underlay, on Device, or changes what
	// there is, without a moment in which more passes than one of both lets
	// through.
	SetUnderlay Kind = "set-underlay"
	// SetFence puts Fence in the place of what there is, at once.
	SetFence Kind = "set-fence"
	// RemoveFence undoes SetFence.
	RemoveFence Kind = "remove-fence"
	// SetRule has RouteTable looked up, before main, in Family.
	SetRule Kind = "set-rule"
	// RemoveRule undoes SetRule.
	RemoveRule Kind = "remove-rule"
	// SetRoute puts Route into RouteTable, in the place of the one with its
	// prefix, type and metric, at once.
	SetRoute Kind = "set-route"
	// RemoveRoute takes the one with its prefix, type and metric out of it.
	RemoveRoute Kind = "remove-route"
	// HashByPorts has flows of Family spread over several nexthops by ports too.
	// It is of the whole namespace.
	HashByPorts Kind = "hash-by-ports"
	// HashAsBefore undoes HashByPorts.
	HashAsBefore Kind = "hash-as-before"
	// CreateTunnel makes Link, of LinkKind, down, with the alias of Member of
	// Tunnel: WireGuard without key and peers; XFRM on Device, with IfID; TUN
	// persistent, and without carrier while nobody has it open.
	CreateTunnel Kind = "create-tunnel"
	// SetMSS has the MSS of TCP that goes through Link clamped to MSS.
	SetMSS Kind = "set-mss"
	// RemoveMSS undoes SetMSS.
	RemoveMSS Kind = "remove-mss"
)

// Step is one change. Which fields count depends on Kind.
type Step struct {
	Kind      Kind
	Port      string // "" when no port of the configuration is meant
	Tunnel    string // "" when no tunnel of it is
	Link      string // the interface that is changed
	Device    string // the parent
	Dataplane Dataplane
	MACsec    *MACsec
	Filter    *Filter
	Tags      *Tags
	Address   netip.Prefix
	MAC       MAC
	MTU       int
	// What follows is of tunnels.
	Member        int
	LinkKind      LinkKind
	IfID          uint32
	Family        Family
	Route         *Route
	NoPrefixRoute bool // of AddAddress: its network gets no route by itself
	MSS           int
	Fence         *Fence
	Why           string // why, where the step alone does not say it
}

// Owner is the port or tunnel of the configuration that is meant; "" if none is.
func (s Step) Owner() string {
	if s.Port == "" {
		return s.Tunnel
	}
	return s.Port
}

// Closes tells a step that only takes ways away from frames: it is done whatever
// failed before.
func (s Step) Closes() bool {
	switch s.Kind {
	case SetFilter, SetUnderlay, SetFence, SetRule:
		return true
	case SetRoute:
		return s.Route.Type == Unreachable
	}
	return false
}

// String is the step on one line.
func (s Step) String() string {
	line := s.what()
	if s.Why != "" {
		line += " (" + s.Why + ")"
	}
	return line
}

func (s Step) what() string {
	switch s.Kind {
	case SetFilter:
		return fmt.Sprintf("filter %s: %s", s.Device, s.Filter)
	case RemoveAddress:
		return fmt.Sprintf("remove address %s from %s", s.Address, s.Link)
	case DisableIPv6:
		return "disable IPv6 on " + s.Link
	case EnableIPv6:
		return "enable IPv6 on " + s.Link
	case DeleteDevice:
		return "delete " + s.Link
	case CreateDevice:
		what := ""
		if s.Dataplane == Userspace {
			what = "userspace SecY (tap), "
		}
		return fmt.Sprintf("create %s on %s: %s%s", s.Link, s.Device, what, s.MACsec)
	case ChangeDevice:
		return fmt.Sprintf("change %s: %s", s.Link, s.MACsec)
	case SetMAC:
		return fmt.Sprintf("set %s mac %s", s.Link, s.MAC)
	case SetMTU:
		return fmt.Sprintf("set %s mtu %d", s.Link, s.MTU)
	case AddAddress:
		without := ""
		if s.NoPrefixRoute {
			without = ", without a route"
		}
		return fmt.Sprintf("add address %s to %s%s", s.Address, s.Link, without)
	case SetTags:
		return fmt.Sprintf("tag %s: %s", s.Link, s.Tags)
	case RemoveTags:
		return "remove the tags from " + s.Link
	case SetUp:
		return fmt.Sprintf("set %s up", s.Link)
	case CountFrames:
		return fmt.Sprintf("count frames on %s: %s", s.Device, s.Filter)
	case RemoveFilter:
		return "remove the filter from " + s.Device
	case SetUnderlay:
		return fmt.Sprintf("filter %s: %s", s.Device, s.Filter)
	case SetFence:
		return "fence: " + s.Fence.String()
	case RemoveFence:
		return "remove the fence"
	case SetRule:
		return fmt.Sprintf("add %s rule: %d, look up table %d", s.Family, RulePriority, RouteTable)
	case RemoveRule:
		return fmt.Sprintf("remove %s rule %d", s.Family, RulePriority)
	case SetRoute:
		return fmt.Sprintf("route %s", s.Route)
	case RemoveRoute:
		return fmt.Sprintf("remove route %s", s.Route)
	case HashByPorts:
		return fmt.Sprintf("spread %s flows by ports", s.Family)
	case HashAsBefore:
		return fmt.Sprintf("spread %s flows as before", s.Family)
	case CreateTunnel:
		return fmt.Sprintf("create %s: %s", s.Link, s.tunnelLink())
	case SetMSS:
		return fmt.Sprintf("clamp MSS through %s to %d", s.Link, s.MSS)
	case RemoveMSS:
		return "clamp MSS through " + s.Link + " no more"
	}
	return string(s.Kind)
}

func (s Step) tunnelLink() string {
	switch s.LinkKind {
	case XFRM:
		return fmt.Sprintf("XFRM interface on %s, if_id 0x%08x", s.Device, s.IfID)
	case TUN:
		return "userspace WireGuard (tun)"
	}
	return string(s.LinkKind)
}

// String is the parameters as an operator would list them.
func (m *MACsec) String() string {
	words := []string{m.Suite.String(), "encrypt"}
	if !m.Encrypt {
		words[1] = "integrity only"
	}
	if m.ReplayWindow != nil {
		words = append(words, fmt.Sprintf("replay window %d", *m.ReplayWindow))
	} else {
		words = append(words, "no replay protection")
	}
	if !m.SendSCI {
		words = append(words, "no SCI in frames")
	}
	if !m.Protect {
		words = append(words, "protect off")
	}
	if m.Validate != ValidateStrict {
		words = append(words, "validate "+m.Validate.String())
	}
	return strings.Join(append(words, "sci "+m.SCI.String()), ", ")
}

type stepJSON struct {
	Step      Kind        `json:"step"`
	Port      string      `json:"port,omitempty"`
	Tunnel    string      `json:"tunnel,omitempty"`
	Link      string      `json:"interface,omitempty"`
	Device    string      `json:"device,omitempty"`
	Dataplane Dataplane   `json:"dataplane,omitempty"`
	MACsec    *macsecJSON `json:"macsec,omitempty"`
	Filter    *Filter     `json:"filter,omitempty"`
	Tags      *Tags       `json:"tags,omitempty"`
	Address   string      `json:"address,omitempty"`
	MAC       string      `json:"mac,omitempty"`
	MTU       int         `json:"mtu,omitempty"`
	LinkKind  LinkKind    `json:"kind,omitempty"`
	IfID      string      `json:"if_id,omitempty"`
	Family    Family      `json:"family,omitempty"`
	Route     *Route      `json:"route,omitempty"`
	NoRoute   bool        `json:"no_prefix_route,omitempty"`
	MSS       int         `json:"mss,omitempty"`
	Fence     *Fence      `json:"fence,omitempty"`
	Why       string      `json:"why,omitempty"`
	Text      string      `json:"text"`
}

type macsecJSON struct {
	SCI          string     `json:"sci"`
	Cipher       string     `json:"cipher"`
	Encrypt      bool       `json:"encrypt"`
	SendSCI      bool       `json:"send_sci"`
	ReplayWindow *uint32    `json:"replay_window"` // null: no replay protection
	Protect      bool       `json:"protect"`
	Validate     Validation `json:"validate"`
}

// MarshalJSON implements json.Marshaler: one object, snake_case, with the line
// of String as "text".
func (s Step) MarshalJSON() ([]byte, error) {
	j := stepJSON{Step: s.Kind, Port: s.Port, Tunnel: s.Tunnel, LinkKind: s.LinkKind, Family: s.Family, Route: s.Route, NoRoute: s.NoPrefixRoute, MSS: s.MSS, Fence: s.Fence, Link: s.Link, Device: s.Device, Dataplane: s.Dataplane, Filter: s.Filter, Tags: s.Tags, MTU: s.MTU, Why: s.Why, Text: s.String()}
	if s.IfID != 0 {
		j.IfID = fmt.Sprintf("0x%08x", s.IfID)
	}
	if s.Kind == SetMAC {
		j.MAC = s.MAC.String()
	}
	if s.Address.IsValid() {
		j.Address = s.Address.String()
	}
	if m := s.MACsec; m != nil {
		j.MACsec = &macsecJSON{m.SCI.String(), m.Suite.String(), m.Encrypt, m.SendSCI, m.ReplayWindow, m.Protect, m.Validate}
	}
	return json.Marshal(j)
}
