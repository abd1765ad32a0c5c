package metrics

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	tunnelInfo  = gauge("tunnel_info", "What a tunnel is; always 1.", "tunnel", "type", "device", "interface", "dataplane", "secure", "local", "remote")
	tunnelState = gauge("tunnel_state", "1 for the state that the tunnel is in: secured while a member is live, unsecured while none is, down while its interfaces or what encrypts are missing.",
		"tunnel", "state")
	tunnelPassing = gauge("tunnel_passing", "1 for what becomes of the prefixes that the tunnel protects.", "tunnel", "traffic")
	tunnelSince   = gauge("tunnel_state_since_timestamp_seconds", "When the tunnel's state became what it is; absent if that is not known.", "tunnel")
	tunnelAlarm   = gauge("tunnel_alarm", "1 while something is wrong with the tunnel: it, or a member, cannot be made or is not live (problem), a keychain's source could not be used (keys).",
		"tunnel", "alarm")
	tunnelClear = gauge("tunnel_clear_route", "Routes by which what the tunnel protects is reached too, past the tunnel: more than 0 is an alarm.", "tunnel")

	memberInfo = gauge("tunnel_member_info", "A member of a tunnel; always 1. key is the id of the PSK under which its handshake was made, empty without one; ike and esp are suites.",
		"tunnel", "member", "interface", "key", "ike", "esp")
	memberLive      = gauge("tunnel_member_live", "1 while the member is live, so that traffic is routed over it.", "tunnel", "member")
	memberProblem   = gauge("tunnel_member_problem", "1 while the member has a problem, which status tells.", "tunnel", "member")
	memberHandshake = gauge("tunnel_member_handshake_timestamp_seconds", "When the member's last handshake was; of IPsec when its IKE_SA was established; absent: never.", "tunnel", "member")
	memberPackets   = counter("tunnel_member_packets_total", "Packets inside the tunnel, by what encrypts them.", "tunnel", "member", "direction")
	memberBytes     = counter("tunnel_member_bytes_total", "Octets inside the tunnel, by what encrypts them.", "tunnel", "member", "direction")
	memberRekeys    = counter("tunnel_member_rekeys_total", "How often the member's session, or its CHILD_SA, was made anew.", "tunnel", "member")
	memberRTT       = gauge("tunnel_member_probe_rtt_seconds", "The round trip of the member's probe; absent without a probe, and while none is answered.", "tunnel", "member")
	memberLost      = gauge("tunnel_member_probe_lost_ratio", "The share of the member's last probes that were not answered; absent without a probe.", "tunnel", "member")

	flowPackets = counter("tunnel_flow_packets_total", "The tunnel's own packets on its underlay, of which ESP's by SPI, while the SA is there; empty: SPIs that are not known yet. remote=\"any\" is of WireGuard that roams.",
		"tunnel", "protocol", "direction", "local", "remote", "spi")
	flowBytes   = counter("tunnel_flow_bytes_total", "Octets of the frames of linkseal_tunnel_flow_packets_total.", "tunnel", "protocol", "direction", "local", "remote", "spi")
	flowMissing = gauge("tunnel_flow_missing_packets", "An estimate of the packets of an SA that are missing on the underlay: sequence numbers that were spanned and not seen.",
		"tunnel", "protocol", "direction", "local", "remote", "spi")

	fencePackets = counter("fence_packets_total", "Packets of what must-secure tunnels protect that were about to leave by an interface of no tunnel, whatever led them there, and were dropped.")
	fenceBytes   = counter("fence_bytes_total", "Octets of the packets of linkseal_fence_packets_total.")

	underlayPackets = counter("underlay_packets_total", "Frames at the filter of a device below must-secure tunnels, by its verdict; protected are of what a tunnel protects, in clear, and do not pass.",
		"device", "direction", "verdict")
	underlayBytes = counter("underlay_bytes_total", "Octets of frames at the filter of a device below must-secure tunnels, by its verdict.", "device", "direction", "verdict")
)

// maxFlows bounds the flows of a tunnel in a scrape: 64 members have two SAs in
// each direction while one takes over from the other.
const maxFlows = 512

// tunnels tells all of them; a device that several have below them once.
func (w scrape) tunnels(all []status.Tunnel) {
	told := make(map[string]bool)
	if i := slices.IndexFunc(all, func(t status.Tunnel) bool { return t.Fenced != nil }); i >= 0 { // all have the same
		w.put(fencePackets, float64(all[i].Fenced.Packets))
		w.put(fenceBytes, float64(all[i].Fenced.Octets))
	}
	for i := range all {
		t := &all[i]
		w.tunnel(t)
		if t.Filter != nil && !told[t.Device] {
			told[t.Device] = true
			w.underlay(t)
		}
	}
}

func (w scrape) tunnel(t *status.Tunnel) {
	w.put(tunnelInfo, 1, t.Name, t.Type, t.Device, t.Interface, t.Dataplane, t.Secure, t.Local, t.Remote)
	w.oneOf(tunnelState, t.State, states, t.Name)
	w.oneOf(tunnelPassing, t.Passing, passing, t.Name)
	w.at(tunnelSince, t.Since, t.Name)
	w.flag(tunnelAlarm, t.Problem != "", t.Name, "problem")
	w.flag(tunnelAlarm, t.KeysError != "", t.Name, "keys")
	w.put(tunnelClear, float64(len(t.ClearRoutes)), t.Name)
	for i := range t.Members {
		w.member(t.Name, &t.Members[i])
	}
	w.flows(t)
}

func (w scrape) member(tunnel string, m *status.Member) {
	n := strconv.Itoa(m.N)
	w.put(memberInfo, 1, tunnel, n, m.Interface, m.KeyID, m.IKE, m.ESP)
	w.flag(memberLive, m.Live, tunnel, n)
	w.flag(memberProblem, m.Problem != "", tunnel, n)
	w.at(memberHandshake, m.Handshake, tunnel, n)
	w.put(memberPackets, float64(m.RxPackets), tunnel, n, "ingress")
	w.put(memberPackets, float64(m.TxPackets), tunnel, n, "egress")
	w.put(memberBytes, float64(m.RxOctets), tunnel, n, "ingress")
	w.put(memberBytes, float64(m.TxOctets), tunnel, n, "egress")
	w.put(memberRekeys, float64(m.Rekeys), tunnel, n)
	if m.RTT != nil && *m.RTT > 0 {
		w.put(memberRTT, *m.RTT, tunnel, n)
	}
	if m.ProbeLost != nil {
		w.put(memberLost, *m.ProbeLost, tunnel, n)
	}
}

func (w scrape) flows(t *status.Tunnel) {
	for i := range t.Flows[:min(len(t.Flows), maxFlows)] {
		f := &t.Flows[i]
		labels := func() []string { return []string{t.Name, f.Protocol, f.Direction, f.Local, f.Remote, f.SPI} }
		w.put(flowPackets, float64(f.Packets), labels()...)
		w.put(flowBytes, float64(f.Octets), labels()...)
		if f.SPI != "" {
			w.put(flowMissing, float64(f.Gaps), labels()...)
		}
	}
}

func (w scrape) underlay(t *status.Tunnel) {
	for _, name := range slices.Sorted(maps.Keys(t.Filter)) {
		direction, rest, _ := strings.Cut(name, "_")
		if verdict, ok := strings.CutSuffix(rest, "_packets"); ok {
			w.put(underlayPackets, float64(t.Filter[name]), t.Device, direction, verdict)
		} else if verdict, ok := strings.CutSuffix(rest, "_octets"); ok {
			w.put(underlayBytes, float64(t.Filter[name]), t.Device, direction, verdict)
		}
	}
}
