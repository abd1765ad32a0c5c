// Package probe asks every port of a machine for an answer, with frames of its
// own on the machine's cable: as a stranger on the same network would.
package probe

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Frames is the cable.
type Frames interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	SetReadDeadline(time.Time) error
}

// Answers are the ports that answered, and what else the machine said.
type Answers struct {
	Open, Refused []uint16 // TCP: a SYN+ACK, a RST
	UDP           []uint16 // a datagram from that port
	Unreachable   int      // ICMP's messages that something cannot be reached, whatever and why
	Pinged        bool     // it answered an echo, so that silence is no missing machine
}

// Stranger is who asks.
type Stranger struct {
	Wire Frames
	MAC  net.HardwareAddr
	Addr netip.Addr // IPv4
}

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	options   = gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
)

const (
	source = 40000 // our port
	rounds = 2     // each port is asked so often: a frame may be dropped on the way
)

// Ask sends a SYN and a datagram to every port of the machine at target, and
// listens until quiet has passed with no answer.
func (s *Stranger) Ask(ctx context.Context, target netip.Addr, quiet time.Duration) (*Answers, error) {
	mac, err := s.find(ctx, target)
	if err != nil {
		return nil, err
	}
	found := &listener{Stranger: s, of: target, open: map[uint16]bool{}, refused: map[uint16]bool{}, udp: map[uint16]bool{}}
	ended := make(chan error, 1)
	asked := make(chan struct{})
	go func() { ended <- found.listen(ctx, asked, quiet) }()
	for range rounds {
		if err := s.send(mac, target, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 1}); err != nil {
			return nil, err
		}
		for port := 1; port < 1<<16; port++ {
			syn := &layers.TCP{SrcPort: source, DstPort: layers.TCPPort(port), SYN: true, Seq: 1, Window: 1024}
			datagram := &layers.UDP{SrcPort: source, DstPort: layers.UDPPort(port)}
			if err := s.send(mac, target, layers.IPProtocolTCP, syn); err != nil {
				return nil, err
			}
			if err := s.send(mac, target, layers.IPProtocolUDP, datagram); err != nil {
				return nil, err
			}
		}
	}
	close(asked)
	if err := <-ended; err != nil {
		return nil, err
	}
	return found.answers(), nil
}

func (s *Stranger) send(mac net.HardwareAddr, target netip.Addr, protocol layers.IPProtocol, inner gopacket.SerializableLayer) error {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: s.Addr.AsSlice(), DstIP: target.AsSlice()}
	if transport, ok := inner.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); ok {
		transport.SetNetworkLayerForChecksum(ip)
	}
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, options,
		&layers.Ethernet{SrcMAC: s.MAC, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4}, ip, inner, gopacket.Payload("?")); err != nil {
		return err
	}
	_, err := s.Wire.Write(out.Bytes())
	return err
}

// find asks by ARP whose the address is, until somebody says so.
func (s *Stranger) find(ctx context.Context, target netip.Addr) (net.HardwareAddr, error) {
	ask, err := s.arp(layers.ARPRequest, broadcast, nil, target)
	if err != nil {
		return nil, err
	}
	p := make([]byte, 4096)
	for ctx.Err() == nil {
		if _, err := s.Wire.Write(ask); err != nil {
			return nil, err
		}
		for until := time.Now().Add(time.Second); time.Now().Before(until); {
			s.Wire.SetReadDeadline(until)
			n, err := s.Wire.Read(p)
			if err != nil {
				break
			}
			arp, ok := gopacket.NewPacket(p[:n], layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
			if ok && arp.Operation == layers.ARPReply && string(arp.SourceProtAddress) == string(target.AsSlice()) {
				return slices.Clone(arp.SourceHwAddress), nil
			}
		}
	}
	return nil, fmt.Errorf("nobody on the network has %s: %w", target, context.Cause(ctx))
}

func (s *Stranger) arp(operation uint16, to, hw net.HardwareAddr, target netip.Addr) ([]byte, error) {
	if hw == nil {
		hw = make(net.HardwareAddr, 6)
	}
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, options,
		&layers.Ethernet{SrcMAC: s.MAC, DstMAC: to, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: operation, SourceHwAddress: s.MAC, SourceProtAddress: s.Addr.AsSlice(), DstHwAddress: hw, DstProtAddress: target.AsSlice()})
	return out.Bytes(), err
}

// listener collects what the machine says.
type listener struct {
	*Stranger
	of                 netip.Addr
	open, refused, udp map[uint16]bool
	unreachable        int
	pinged             bool
}

func (l *listener) answers() *Answers {
	sorted := func(m map[uint16]bool) (ports []uint16) {
		for p := range m {
			ports = append(ports, p)
		}
		slices.Sort(ports)
		return ports
	}
	return &Answers{sorted(l.open), sorted(l.refused), sorted(l.udp), l.unreachable, l.pinged}
}

func (l *listener) listen(ctx context.Context, asked <-chan struct{}, quiet time.Duration) error {
	p := make([]byte, 4096)
	last := time.Now()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		select {
		case <-asked:
			if time.Since(last) > quiet {
				return nil
			}
		default:
			last = time.Now()
		}
		l.Wire.SetReadDeadline(time.Now().Add(quiet / 4))
		n, err := l.Wire.Read(p)
		if err != nil {
			continue // the deadline, or the machine's end, which quiet follows
		}
		if l.take(p[:n]) {
			last = time.Now()
		}
	}
}

// take reports whether the frame was an answer.
func (l *listener) take(frame []byte) bool {
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if arp, ok := packet.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		if arp.Operation == layers.ARPRequest && string(arp.DstProtAddress) == string(l.Addr.AsSlice()) {
			from, _ := netip.AddrFromSlice(arp.SourceProtAddress)
			if reply, err := l.arp(layers.ARPReply, arp.SourceHwAddress, arp.SourceHwAddress, from); err == nil {
				l.Wire.Write(reply)
			}
		}
		return false
	}
	ip, ok := packet.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	if !ok || string(ip.SrcIP.To4()) != string(l.of.AsSlice()) || string(ip.DstIP.To4()) != string(l.Addr.AsSlice()) {
		return false
	}
	switch {
	case packet.Layer(layers.LayerTypeTCP) != nil:
		tcp := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if tcp.DstPort != source {
			return false
		}
		if tcp.SYN && tcp.ACK {
			l.open[uint16(tcp.SrcPort)] = true
		} else if tcp.RST {
			l.refused[uint16(tcp.SrcPort)] = true
		}
	case packet.Layer(layers.LayerTypeICMPv4) != nil:
		icmp := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		l.pinged = l.pinged || icmp.TypeCode.Type() == layers.ICMPv4TypeEchoReply
		if icmp.TypeCode.Type() == layers.ICMPv4TypeDestinationUnreachable {
			l.unreachable++
		}
	case ip.Protocol == layers.IPProtocolUDP && len(ip.Payload) >= 8 && binary.BigEndian.Uint16(ip.Payload[2:]) == source:
		l.udp[binary.BigEndian.Uint16(ip.Payload)] = true
	}
	return true
}
