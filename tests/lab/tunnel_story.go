package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/probe"
)

// typeWords are the tunnels as the story names them.
var typeWords = map[string]string{WireGuard: "WireGuard", IPsec: "IPsec"}

// RunTunnel plays the lab of a tunnel, as Run does that of a link: two
// appliances, each with a site behind it, the tunnel secured, a rotation of its
// PSK under traffic, what was lost, and what of the sites was in clear.
func RunTunnel(ctx context.Context, out io.Writer, binary, kind, dataplane string) error {
	if typeWords[kind] == "" {
		return fmt.Errorf("tunnel %q is of no type; %s and %s are accepted", kind, WireGuard, IPsec)
	}
	if err := chooseTunnel(kind, dataplane); err != nil {
		return err
	}
	return tell(ctx, out, Options{Binary: binary, Bridge: true}, func(ctx context.Context, s *story) error {
		return s.playTunnel(ctx, Tunnel{Type: kind, Dataplane: dataplane})
	})
}

// chooseTunnel says what this machine lacks for the tunnel.
func chooseTunnel(kind, dataplane string) error {
	kernel, user := []probe.Feature{probe.WireGuard}, []probe.Feature{probe.TUN}
	if kind == IPsec {
		kernel = []probe.Feature{probe.XFRM, probe.XFRMI}
	}
	inKernel := lacks(kernel...)
	if dataplane == string(plan.Kernel) || dataplane == string(plan.Auto) && inKernel == nil {
		return inKernel
	}
	return lacks(user...)
}

func (s *story) playTunnel(ctx context.Context, t Tunnel) error {
	t = t.defaults(0)
	if err := errors.Join(s.lab.Underlay(1), s.lab.PSKs("first")); err != nil {
		return err
	}
	if err := errors.Join(s.west.WriteTunnels(s.east, t), s.east.WriteTunnels(s.west, t)); err != nil {
		return err
	}
	wire, err := s.lab.WatchUnderlay(0)
	if err != nil {
		return err
	}
	defer wire.Close()
	s.say("west and east start, %s between %s and %s, which are on a bridge; PSK first", typeWords[t.Type], s.west.Under, s.east.Under)
	s.say("protected: %s at west and %s at east", s.west.site(0), s.east.site(0))
	if err := errors.Join(s.west.Start(), s.east.Start()); err != nil {
		return err
	}
	tunnels, err := s.tunnels(ctx, "the tunnel to be secured", func(t status.Tunnel) bool { return Carried(t, "first") })
	if err != nil {
		return err
	}
	user := tunnels[0][0].Dataplane == string(plan.Userspace)
	s.say("it is %s: %s", map[bool]string{true: "in user space", false: "the kernel's"}[user], tunnels[0][0].DataplaneReason)
	s.say("secured: %s", suiteOf(tunnels[0][0]))
	traffic, err := StartThrough(s.west, s.east, s.west.Address.Addr(), s.east.Address.Addr(), pingEvery)
	if err != nil {
		return err
	}
	count, err := s.rotateTunnel(ctx, traffic, t, user)
	if err != nil {
		traffic.Stop()
		return err
	}
	s.say("datagrams sent every %v through all of it: %d, answered %d, lost %d", pingEvery, count.Sent, count.Answered, count.Lost())
	if err := s.clearTunnel(ctx); err != nil {
		return err
	}
	n := wire.Count()
	s.say("on the wire at west: %s; %d others, %d in clear of what is protected", n.tunnel(t.Type), n.Other, n.Protected)
	switch {
	case n.Protected > 0:
		return fmt.Errorf("%d packets of what is protected passed in clear; the last began %x", n.Protected, wire.LastClear())
	case count.Lost() > 0:
		return fmt.Errorf("%d of %d datagrams were lost", count.Lost(), count.Sent)
	}
	return nil
}

// suiteOf is with what a tunnel is encrypted, in words.
func suiteOf(t status.Tunnel) string {
	if t.Type == WireGuard {
		return "ChaCha20-Poly1305, the peer " + t.Members[0].Remote
	}
	return "IKE " + t.Members[0].IKE + ", ESP " + t.Members[0].ESP
}

// tunnel is what a tunnel of that type has sent, in words.
func (n UnderlayCount) tunnel(kind string) string {
	if kind == WireGuard {
		return fmt.Sprintf("%d packets WireGuard", n.WireGuard)
	}
	return fmt.Sprintf("%d packets ESP, %d IKE", n.ESP, n.IKE)
}

// rotateTunnel changes the PSK under traffic.
func (s *story) rotateTunnel(ctx context.Context, traffic *Traffic, t Tunnel, user bool) (Count, error) {
	if _, err := s.flows(ctx, traffic, 100); err != nil {
		return Count{}, err
	}
	if t.Type == WireGuard && !user {
		s.say("the kernel makes a handshake when the last is 120 s old, and not before: --dataplane userspace shows all in seconds")
	}
	verb := []string{"rotate", t.Name}
	running, end := context.WithTimeout(ctx, tunnelPatience)
	defer end()
	var said string
	rotated := make(chan error, 1)
	go func() {
		var err error
		said, err = s.west.configured(running, verb...)
		rotated <- err
	}()
	id, err := s.newPSK(running)
	if err == nil {
		s.say("PSK %s is in west's keychain; its file is brought to east", shorten(id))
		err = s.east.TakeKeys(s.west)
	}
	if err != nil {
		end()
	}
	if err := errors.Join(err, <-rotated); err != nil {
		return Count{}, err
	}
	s.sayVerb(s.west, verb, said)
	if _, err := s.tunnels(ctx, "both ends to have the new PSK", func(t status.Tunnel) bool { return Carried(t, id) }); err != nil {
		return Count{}, err
	}
	s.say("both ends are secured under PSK %s", shorten(id))
	c, err := s.flows(ctx, traffic, 100)
	if err != nil {
		return c, err
	}
	return traffic.Stop(), nil
}

// shorten is a long id as it is told.
func shorten(id string) string {
	if len(id) > 12 {
		return id[:8] + "…"
	}
	return id
}

// newPSK waits until west has a PSK beside the first, and is its id.
func (s *story) newPSK(ctx context.Context) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = poll(ctx, "a new PSK in west's keychain", func() bool {
		if err := errors.Join(s.west.ended(), s.east.ended()); err != nil {
			s.fail(err)
		}
		ids, err := s.west.PSKIDs()
		for _, known := range ids {
			if known != "first" {
				id = known
			}
		}
		return err == nil && id != ""
	})
	return id, err
}

// tunnels waits for both ends' tunnels.
func (s *story) tunnels(ctx context.Context, what string, ok func(status.Tunnel) bool) ([][]status.Tunnel, error) {
	ctx, cancel := context.WithTimeout(ctx, tunnelPatience)
	defer cancel()
	return WaitTunnels(ctx, what, ok, s.west, s.east)
}

// tunnelPatience has room for the kernel's WireGuard, which is in no hurry.
const tunnelPatience = 3*patience + patience/2

// clearTunnel sends what is protected at both devices, and shows what became of it.
func (s *story) clearTunnel(ctx context.Context) error {
	const frames, discard = 10, 9 // where nobody listens
	for i, a := range []*Appliance{s.west, s.east} {
		other := s.lab.Appliances[1-i]
		sender, err := OpenSender(a, Device, false)
		if err != nil {
			return err
		}
		for range frames {
			err = errors.Join(err, sender.Send(ClearPacket(other.MAC, a.MAC, a.Site(0), other.Site(0), discard)))
		}
		if err := errors.Join(err, sender.Close()); err != nil {
			return err
		}
	}
	tunnels, err := s.tunnels(ctx, "the filter's counters", func(t status.Tunnel) bool { return t.Filter["egress_protected_packets"] >= frames })
	if err != nil {
		return err
	}
	var dropped []string
	for _, t := range tunnels {
		dropped = append(dropped, fmt.Sprint(t[0].Filter["egress_protected_packets"]))
	}
	s.say("%d packets of what is protected sent in clear at each device: dropped %s", frames, strings.Join(dropped, " and "))
	return nil
}
