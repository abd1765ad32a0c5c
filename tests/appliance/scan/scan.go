package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

const (
	source = 40000 // our port, of TCP and of UDP
	rounds = 2     // each port is asked so often: a packet may be dropped on the way
	batch  = 200   // ports asked before an echo is awaited: no queue on the way overflows
)

// scanner asks one address. Packets are raw, for sockets of their own for 131,070
// ports are more than an emulated processor has time for.
type scanner struct {
	target         net.IP
	own            net.IP        // what it is asked from
	last           int           // port
	quiet          time.Duration // what an echo may take, and an answer at the end
	tcp, icmp, udp net.PacketConn
	echoed         uint16          // the number of the last that was answered
	found          map[string]bool // lines of output
}

// scan asks every port of the target up to the last, and returns who answered, a line
// each.
func scan(target net.IP, last int, quiet time.Duration) ([]string, error) {
	s := &scanner{target: target, last: last, quiet: quiet, found: map[string]bool{}}
	defer s.close()
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.ask(); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(s.found)), nil
}

func (s *scanner) open() error {
	// No datagram is sent: the kernel says from where it would be.
	route, err := net.Dial("udp4", net.JoinHostPort(s.target.String(), "9"))
	if err != nil {
		return err
	}
	s.own = route.LocalAddr().(*net.UDPAddr).IP.To4()
	route.Close()
	if s.tcp, err = net.ListenPacket("ip4:tcp", s.own.String()); err != nil {
		return err
	}
	if s.icmp, err = net.ListenPacket("ip4:icmp", s.own.String()); err != nil {
		return err
	}
	s.udp, err = net.ListenPacket("udp4", net.JoinHostPort(s.own.String(), fmt.Sprint(source)))
	return err
}

func (s *scanner) close() {
	for _, c := range []net.PacketConn{s.tcp, s.icmp, s.udp} {
		if c != nil {
			c.Close()
		}
	}
}

// ask asks all ports, and listens until it has been quiet.
func (s *scanner) ask() error {
	number := uint16(0)
	for range rounds {
		for from := 1; from <= s.last; from += batch {
			for port := from; port < from+batch && port <= s.last; port++ {
				syn, err := s.synTo(port)
				if err == nil {
					err = send(s.tcp, syn, &net.IPAddr{IP: s.target})
				}
				if err != nil {
					return fmt.Errorf("tcp %d: %w", port, err)
				}
				if err := send(s.udp, []byte("?"), &net.UDPAddr{IP: s.target, Port: port}); err != nil {
					return fmt.Errorf("udp %d: %w", port, err)
				}
			}
			number++
			if err := s.echo(number); err != nil {
				return err
			}
		}
	}
	for heard := time.Now(); time.Since(heard) < s.quiet; {
		some, err := s.listen(s.quiet / 20)
		if err != nil {
			return err
		}
		if some {
			heard = time.Now()
		}
	}
	return nil
}

// send sends a packet, and waits for room in the queue.
func send(c net.PacketConn, packet []byte, to net.Addr) error {
	for {
		_, err := c.WriteTo(packet, to)
		if !errors.Is(err, syscall.ENOBUFS) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// echo listens until the target has answered one, and so has seen what was sent
// before.
func (s *scanner) echo(number uint16) error {
	request, err := serialize(&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: uint16(os.Getpid()), Seq: number})
	if err != nil {
		return err
	}
	for begun := time.Now(); time.Since(begun) < s.quiet; {
		if err := send(s.icmp, request, &net.IPAddr{IP: s.target}); err != nil {
			return fmt.Errorf("echo: %w", err)
		}
		for again := time.Now().Add(s.quiet / 4); time.Now().Before(again); {
			if _, err := s.listen(time.Millisecond); err != nil || s.echoed == number {
				return err
			}
		}
	}
	return fmt.Errorf("%s answers no echo for %v: silence would say nothing", s.target, s.quiet)
}

// listen takes what is there, or comes in wait, and reports whether something was.
func (s *scanner) listen(wait time.Duration) (some bool, err error) {
	p := make([]byte, 1<<16)
	for _, l := range []struct {
		net.PacketConn
		take func(p []byte, from net.Addr)
	}{{s.icmp, s.takeICMP}, {s.tcp, s.takeTCP}, {s.udp, s.takeUDP}} {
		for {
			l.SetReadDeadline(time.Now().Add(wait))
			n, from, err := l.ReadFrom(p)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return some, err
			}
			if host, _, err := net.SplitHostPort(from.String()); from.String() == s.target.String() || err == nil && host == s.target.String() {
				l.take(p[:n], from)
				some = true
			}
		}
	}
	return some, nil
}

func (s *scanner) takeTCP(p []byte, _ net.Addr) {
	var tcp layers.TCP
	if err := tcp.DecodeFromBytes(p, gopacket.NilDecodeFeedback); err != nil || tcp.DstPort != source {
		return
	}
	switch {
	case tcp.RST:
		s.found[fmt.Sprintf("tcp %d refused", tcp.SrcPort)] = true
	case tcp.SYN && tcp.ACK:
		s.found[fmt.Sprintf("tcp %d open", tcp.SrcPort)] = true
	}
}

func (s *scanner) takeUDP(_ []byte, from net.Addr) {
	s.found[fmt.Sprintf("udp %d answers", from.(*net.UDPAddr).Port)] = true
}

func (s *scanner) takeICMP(p []byte, _ net.Addr) {
	var icmp layers.ICMPv4
	if err := icmp.DecodeFromBytes(p, gopacket.NilDecodeFeedback); err != nil {
		return
	}
	switch icmp.TypeCode.Type() {
	case layers.ICMPv4TypeEchoReply:
		if icmp.Id == uint16(os.Getpid()) {
			s.echoed = icmp.Seq
		}
	case layers.ICMPv4TypeDestinationUnreachable:
		if protocol, port, ok := quoted(icmp.Payload); ok {
			s.found[fmt.Sprintf("%s %d unreachable", protocol, port)] = true
		}
	}
}

// quoted is what of ours an error is about: the IP header and 8 octets are in it.
func quoted(p []byte) (protocol string, port uint16, ok bool) {
	if len(p) < 20 {
		return "", 0, false
	}
	header := int(p[0]&15) * 4
	if header < 20 || len(p) < header+4 || binary.BigEndian.Uint16(p[header:]) != source {
		return "", 0, false
	}
	switch layers.IPProtocol(p[9]) {
	case layers.IPProtocolTCP:
		protocol = "tcp"
	case layers.IPProtocolUDP:
		protocol = "udp"
	default:
		return "", 0, false
	}
	return protocol, binary.BigEndian.Uint16(p[header+2:]), true
}

// serialize is a packet without its IP header; the kernel makes that.
func serialize(packet ...gopacket.SerializableLayer) ([]byte, error) {
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, packet...)
	return out.Bytes(), err
}

// synTo asks for a connection to a port.
func (s *scanner) synTo(port int) ([]byte, error) {
	tcp := &layers.TCP{SrcPort: source, DstPort: layers.TCPPort(port), SYN: true, Seq: 1, Window: 1024}
	// Its checksum has the addresses in it.
	if err := tcp.SetNetworkLayerForChecksum(&layers.IPv4{SrcIP: s.own, DstIP: s.target, Protocol: layers.IPProtocolTCP}); err != nil {
		return nil, err
	}
	return serialize(tcp)
}
