package probe

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// ends are the two of a cable.
func ends(t *testing.T) (a, b net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "cable")
		if out[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		t.Cleanup(func() { out[i].Close() })
	}
	return out[0], out[1]
}

// A machine with 22 open, 80 refused and 53 that answers is found to have these.
func TestAsk(t *testing.T) {
	ours, theirs := ends(t)
	us, machine := netip.MustParseAddr("10.0.2.77"), netip.MustParseAddr("10.0.2.15")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	answerer := &Stranger{Wire: theirs, MAC: mac, Addr: machine}
	go func() {
		p := make([]byte, 4096)
		for {
			n, err := theirs.Read(p)
			if err != nil {
				return
			}
			packet := gopacket.NewPacket(p[:n], layers.LayerTypeEthernet, gopacket.Default)
			from := packet.Layer(layers.LayerTypeEthernet).(*layers.Ethernet).SrcMAC
			if packet.Layer(layers.LayerTypeARP) != nil {
				reply, _ := answerer.arp(layers.ARPReply, from, from, us)
				theirs.Write(reply)
			}
			if tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && (tcp.DstPort == 22 || tcp.DstPort == 80) {
				answerer.send(from, us, layers.IPProtocolTCP, &layers.TCP{SrcPort: tcp.DstPort, DstPort: tcp.SrcPort, SYN: tcp.DstPort == 22, ACK: true, RST: tcp.DstPort == 80})
			}
			if udp, ok := packet.Layer(layers.LayerTypeUDP).(*layers.UDP); ok && udp.DstPort == 53 {
				answerer.send(from, us, layers.IPProtocolUDP, &layers.UDP{SrcPort: 53, DstPort: udp.SrcPort})
			}
			if packet.Layer(layers.LayerTypeICMPv4) != nil {
				answerer.send(from, us, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0)})
			}
		}
	}()
	s := &Stranger{Wire: ours, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Addr: us}
	got, err := s.Ask(t.Context(), machine, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Open, []uint16{22}) || !slices.Equal(got.Refused, []uint16{80}) || !slices.Equal(got.UDP, []uint16{53}) || !got.Pinged || got.Unreachable != 0 {
		t.Errorf("%+v", got)
	}
}
