package watch

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

// tunnelBefore is the tunnel of that name in the sample before, and how long ago
// that was; nil: there is none.
func (v View) tunnelBefore(name string) (t *status.Tunnel, seconds float64) {
	if v.Before == nil {
		return nil, 0
	}
	for i := range v.Before.Status.Tunnels {
		if b := &v.Before.Status.Tunnels[i]; b.Name == name {
			return b, v.Last.At.Sub(v.Before.At).Seconds()
		}
	}
	return nil, 0
}

// traffic are a member's counters by name.
func traffic(m *status.Member) map[string]uint64 {
	return map[string]uint64{"rx_packets": m.RxPackets, "rx_octets": m.RxOctets, "tx_packets": m.TxPackets, "tx_octets": m.TxOctets}
}

// packets is a rate of packets; WireGuard counts octets alone.
func packets(rate float64, members ...status.Member) string {
	var n, octets uint64
	for _, m := range members {
		n, octets = n+m.RxPackets+m.TxPackets, octets+m.RxOctets+m.TxOctets
	}
	if n == 0 && octets > 0 {
		return "-"
	}
	return short(rate)
}

// memberRates are those of each member of t.
func (v View) memberRates(t *status.Tunnel) []rates {
	all := make([]rates, len(t.Members))
	b, seconds := v.tunnelBefore(t.Name)
	for i := range t.Members {
		m := &t.Members[i]
		all[i].last = traffic(m)
		for j := 0; b != nil && j < len(b.Members); j++ {
			if b.Members[j].N == m.N {
				all[i].before, all[i].seconds = traffic(&b.Members[j]), seconds
			}
		}
	}
	return all
}

// sum adds up what each of all has; one that is unknown counts nothing if there
// is another.
func sum(all []rates, name string) float64 {
	total := unknown
	for _, r := range all {
		if x := r.of(name); math.IsNaN(total) {
			total = x
		} else if !math.IsNaN(x) {
			total += x
		}
	}
	return total
}

// tunnels has a row for each tunnel.
func (v View) tunnels() table {
	t := table{heads: []string{"TUNNEL", "STATE", ">FOR", "TYPE", "DATAPLANE", ">LIVE", ">IN PKT/S", ">BIT/S", ">OUT PKT/S", ">BIT/S", ">CLEAR DROPPED/S"}, alarm: map[int]bool{}}
	for i := range v.Last.Status.Tunnels {
		n := &v.Last.Status.Tunnels[i]
		state, since, live := n.State, "-", 0
		if n.Since != nil {
			since = status.Age(v.Last.At.Sub(*n.Since))
		}
		if n.Passing == status.PassingClear {
			state += ", PASSING CLEAR"
		}
		for _, m := range n.Members {
			if m.Live {
				live++
			}
		}
		filter := rates{last: n.Filter}
		if b, seconds := v.tunnelBefore(n.Name); b != nil && b.Filter != nil {
			filter.before, filter.seconds = b.Filter, seconds
		}
		t.alarm[i] = n.State != status.Secured || len(n.ClearRoutes) > 0
		members := v.memberRates(n)
		t.row(n.Name, state, since, n.Type, n.Dataplane, fmt.Sprintf("%d of %d", live, len(n.Members)),
			packets(sum(members, "rx_packets"), n.Members...), short(8*sum(members, "rx_octets")), packets(sum(members, "tx_packets"), n.Members...), short(8*sum(members, "tx_octets")),
			short(filter.of("ingress_protected_packets", "egress_protected_packets")))
	}
	return t
}

// members has a row for each member of each tunnel.
func (v View) members() table {
	t := table{heads: []string{"TUNNEL", ">MEMBER", "INTERFACE", "LIVE", "WITH", ">HANDSHAKE", "PSK", ">REKEYS", ">ROUND TRIP", ">LOST", ">IN PKT/S", ">BIT/S", ">OUT PKT/S", ">BIT/S"}, alarm: map[int]bool{}}
	for i := range v.Last.Status.Tunnels {
		n := &v.Last.Status.Tunnels[i]
		all := v.memberRates(n)
		for j := range n.Members {
			m, r := &n.Members[j], all[j]
			live, handshake, trip, lost := "yes", "-", "-", "-"
			if !m.Live {
				live = "NO"
			}
			if m.Handshake != nil {
				handshake = status.Age(v.Last.At.Sub(*m.Handshake)) + " ago"
			}
			if m.RTT != nil && *m.RTT > 0 {
				trip = time.Duration(*m.RTT * float64(time.Second)).Round(10 * time.Microsecond).String()
			}
			if m.ProbeLost != nil {
				lost = fmt.Sprintf("%.0f %%", 100**m.ProbeLost)
			}
			t.alarm[len(t.rows)] = !m.Live
			t.row(n.Name, strconv.Itoa(m.N), dash(m.Interface), live, dash(m.Remote), handshake, dash(m.KeyID), strconv.FormatUint(m.Rekeys, 10), trip, lost,
				packets(r.of("rx_packets"), *m), short(8*r.of("rx_octets")), packets(r.of("tx_packets"), *m), short(8*r.of("tx_octets")))
		}
	}
	return t
}

// flows has a row for each flow that carries a tunnel and had traffic.
func (v View) flows() table {
	t := table{heads: []string{"TUNNEL", "CARRIED BY", "WAY", "SPI", "LOCAL", "REMOTE", ">PKT/S", ">BIT/S", ">PACKETS", ">MISSING"}}
	for i := range v.Last.Status.Tunnels {
		n := &v.Last.Status.Tunnels[i]
		b, seconds := v.tunnelBefore(n.Name)
		for _, f := range n.Flows {
			if f.LastSeen == nil {
				continue
			}
			r := rates{last: counts(f)}
			for j := 0; b != nil && j < len(b.Flows); j++ {
				if o := b.Flows[j]; o.Protocol == f.Protocol && o.Direction == f.Direction && o.Local == f.Local && o.Remote == f.Remote && o.SPI == f.SPI {
					r.before, r.seconds = counts(o), seconds
				}
			}
			way, missing := "in", "-"
			if f.Direction == "egress" {
				way = "out"
			}
			if f.SPI != "" {
				missing = strconv.FormatUint(f.Gaps, 10)
			}
			t.row(n.Name, f.Protocol, way, dash(f.SPI), status.End(f.Local), status.End(f.Remote), short(r.of("packets")), short(8*r.of("octets")), strconv.FormatUint(f.Packets, 10), missing)
		}
	}
	return t
}

func counts(f status.Flow) map[string]uint64 {
	return map[string]uint64{"packets": f.Packets, "octets": f.Octets}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// tunnelAlarms are what is wrong with one, each with what is known to do about
// it.
func tunnelAlarms(t *status.Tunnel, add func(format string, args ...any)) {
	for _, c := range t.ClearRoutes {
		add("%s: CLEAR ROUTE: %s", t.Name, c)
	}
	if t.Problem != "" {
		add("%s: %s", t.Name, t.Problem)
	}
	if t.Remedy != "" {
		add("%s: remedy: %s", t.Name, t.Remedy)
	}
	if t.KeysError != "" {
		add("%s: keys: %s", t.Name, t.KeysError)
	}
	for _, m := range t.Members {
		if m.Problem != "" && m.Problem != t.Problem {
			add("%s, member %d: %s", t.Name, m.N, m.Problem)
		}
	}
}
