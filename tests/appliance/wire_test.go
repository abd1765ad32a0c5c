package appliance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// The EtherTypes of what a must-secure port sends.
const (
	macsec = layers.EthernetType(0x88E5)
	eapol  = layers.EthernetTypeEAPOL
)

// wire demands that from the first boot on, whatever happened since, nothing was on
// the link's cable but MACsec and MKA, and on the tunnel's nothing but WireGuard's
// datagrams and what finds neighbours: ARP, and of IPv6 ND and MLD, which say nothing of
// what is protected.
func (p *pair) wire() {
	count := map[string]int{}
	for _, h := range p.hosts {
		p.frames(h, 0, func(frame gopacket.Packet, kind layers.EthernetType) string {
			switch kind {
			case macsec:
				count["MACsec"]++
			case eapol:
				count["MKA"]++
			default:
				return "neither MACsec nor MKA"
			}
			return ""
		})
		p.frames(h, 1, func(frame gopacket.Packet, kind layers.EthernetType) string {
			icmp, neighbours := frame.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
			udp, ok := frame.Layer(layers.LayerTypeUDP).(*layers.UDP)
			switch {
			case kind == layers.EthernetTypeARP:
			case neighbours && (icmp.TypeCode.Type() >= layers.ICMPv6TypeMLDv1MulticastListenerQueryMessage && icmp.TypeCode.Type() <= layers.ICMPv6TypeNeighborAdvertisement ||
				icmp.TypeCode.Type() == layers.ICMPv6TypeMLDv2MulticastListenerReportMessageV2):
				count["ND and MLD"]++
			case ok && udp.SrcPort == 51820 && udp.DstPort == 51820:
				count["WireGuard"]++
			default:
				return "neither WireGuard nor what finds neighbours"
			}
			return ""
		})
	}
	if !p.t.Failed() {
		fmt.Printf("figure: on the cables: %v, and nothing else\n", count)
	}
	if count["MACsec"] < 100 || count["MKA"] < 10 || count["WireGuard"] < 20 {
		p.t.Errorf("the captures have too little to say something: %v", count)
	}
}

// frames gives each frame of all captures of a cable to judge, which says what is
// wrong with it.
func (p *pair) frames(h *host, cable int, judge func(gopacket.Packet, layers.EthernetType) string) {
	captures, err := filepath.Glob(filepath.Join(h.Dir, fmt.Sprintf("%s-*-cable%d.pcap", h.Name, cable)))
	check(p.t, err)
	wrong := 0
	for _, path := range captures {
		f, err := os.Open(path)
		check(p.t, err)
		r, err := pcapgo.NewReader(f)
		if err != nil {
			f.Close()
			if errors.Is(err, io.EOF) { // cut before the first frame
				continue
			}
			p.t.Fatalf("%s: %v", path, err)
		}
		for n := 1; ; n++ {
			data, _, err := r.ReadPacketData()
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			check(p.t, err)
			frame := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.Default)
			ethernet, ok := frame.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
			if !ok {
				p.t.Fatalf("%s: frame %d is no Ethernet", path, n)
			}
			if why := judge(frame, ethernet.EthernetType); why != "" {
				if wrong++; wrong <= 5 {
					p.t.Errorf("%s: frame %d is %s: %s", path, n, why, frame)
				}
			}
		}
		f.Close()
	}
	if wrong > 5 {
		p.t.Errorf("%s, cable %d: %d frames in clear in all", h.Name, cable, wrong)
	}
}
