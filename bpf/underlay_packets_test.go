package bpf

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
)

// A tunnel's underlay, as in the documentation: the far end is itself in a
// protected prefix. Two tunnels more are in IPv6.
var (
	local4, remote4, elsewhere4 = netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.20.0.5"), netip.MustParseAddr("10.0.0.9")
	inside4                     = netip.MustParseAddr("10.20.3.7")
	local6, remote6, elsewhere6 = netip.MustParseAddr("2001:db8::4"), netip.MustParseAddr("2001:db8:20::5"), netip.MustParseAddr("2001:db8::9")
	inside6                     = netip.MustParseAddr("2001:db8:20:3::7")

	hub = Underlay{
		Protect: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("2001:db8:20::/48")},
		Flows: []Flow{
			{Protocol: WireGuard, Local: local4, Remote: remote4, LocalPort: 51820, RemotePort: 51821},
			{Protocol: WireGuard, Local: local4, LocalPort: 51830, Roams: true},
			{Protocol: IPsec, Local: local4, Remote: remote4, SPIIn: []uint32{0x1001}, SPIOut: []uint32{0x2001}},
			{Protocol: WireGuard, Local: local6, Remote: remote6, LocalPort: 51820, RemotePort: 51820},
			{Protocol: WireGuard, Local: local6, LocalPort: 51830, Roams: true},
			{Protocol: IPsec, Local: local6, Remote: remote6, AnySPI: true},
		},
	}
	overlay       = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, CountOnly: true, Underlay: &hub}
	overlayAllows = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, CountOnly: true, Underlay: &hub, Allow: Protocols()}
	closed        = Filter{EAPOLDestination: paeGroup, EtherType: 0x888e, Underlay: &hub}
)

// ether is a frame's header, with what follows, in hex.
func ether(etherType string, payload ...string) string {
	f := peerMAC + portMAC + etherType
	for _, p := range payload {
		f += p
	}
	return f
}

// v4 is an IPv4 packet. flags has the fragment offset too.
func v4(source, destination netip.Addr, protocol byte, flags uint16, payload string) string {
	return v4options(source, destination, protocol, flags, "", payload)
}

func v4options(source, destination netip.Addr, protocol byte, flags uint16, options, payload string) string {
	n := 20 + (len(options)+len(payload))/2
	return fmt.Sprintf("%x00%04x0001%04x40%02x0000%x%x%s%s", 0x45+len(options)/8, n, flags, protocol, source.AsSlice(), destination.AsSlice(), options, payload)
}

func v6(source, destination netip.Addr, next, limit byte, payload string) string {
	return fmt.Sprintf("60000000%04x%02x%02x%x%x%s", len(payload)/2, next, limit, source.AsSlice(), destination.AsSlice(), payload)
}

func udp(source, destination uint16, payload string) string {
	return fmt.Sprintf("%04x%04x%04x0000%s", source, destination, 8+len(payload)/2, payload)
}

func esp(spi, sequence uint32) string {
	return fmt.Sprintf("%08x%08x", spi, sequence) + zeros(24)
}

func zeros(n int) string { return hex.EncodeToString(make([]byte, n)) }

// wireguard is a message of that type, with so many octets after it.
func wireguard(kind uint32, octets int) string {
	return hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, kind)) + zeros(octets)
}

const (
	passed  = portVerdictCLEAR
	tunnels = portVerdictTUNNEL
	dropped = portVerdictPROTECTED
	tcp     = "0016c0000000000100000000500200000000000000"
)

// underlayPackets is what packets is, for an underlay. Source and destination
// are the same both ways: what comes in from remote is no flow that goes out.
var underlayPackets = []struct {
	name    string
	filter  Filter
	frame   string
	in, out portVerdict
}{
	{"tcp elsewhere", overlay, ether("0800", v4(elsewhere4, local4, 6, 0, tcp)), passed, passed},
	{"tcp to a protected prefix", overlay, ether("0800", v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"tcp from a protected prefix", overlay, ether("0800", v4(inside4, local4, 6, 0, tcp)), dropped, dropped},
	{"tcp to the far end", overlay, ether("0800", v4(local4, remote4, 6, 0, tcp)), dropped, dropped},
	{"next to the protected prefix", overlay, ether("0800", v4(local4, netip.MustParseAddr("10.21.0.0"), 6, 0, tcp)), passed, passed},
	{"802.1Q", overlay, ether("8100000a0800", v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"802.1Q elsewhere", overlay, ether("8100000a0800", v4(local4, elsewhere4, 6, 0, tcp)), passed, passed},
	{"QinQ", overlay, ether("88a800648100000a0800", v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"QinQ elsewhere", overlay, ether("88a800648100000a0800", v4(local4, elsewhere4, 6, 0, tcp)), passed, passed},
	{"three tags", overlay, ether("88a800648100000a8100000b0800", v4(local4, elsewhere4, 6, 0, tcp)), dropped, dropped},
	{"first fragment", overlay, ether("0800", v4(local4, inside4, 17, 0x2000, udp(1, 2, zeros(20)))), dropped, dropped},
	{"later fragment", overlay, ether("0800", v4(local4, inside4, 17, 0x2010, zeros(20))), dropped, dropped},
	{"later fragment elsewhere", overlay, ether("0800", v4(local4, elsewhere4, 17, 0x2010, zeros(20))), passed, passed},
	{"arp", overlay, ether("0806", "0001080006040001"+zeros(20)), passed, passed},
	{"lldp", overlay, ether("88cc", "0207"), passed, passed},
	{"spanning tree", overlay, ether("0026", "424203"+zeros(35)), passed, passed},
	{"ipv4 in SNAP", overlay, ether("0040", "aaaa030000000800", v4(local4, elsewhere4, 6, 0, tcp)), dropped, dropped},
	{"CDP", overlay, ether("0040", "aaaa0300000c2000"+zeros(30)), dropped, dropped},
	{"slow protocols", overlay, ether("8809", "01"), passed, passed},
	{"slow protocols, QinQ", overlay, ether("88a800648100000a8809", "01"), passed, passed},
	{"ptp", overlay, ether("88f7", "0002"), passed, passed},
	{"cfm", overlay, ether("8902", "0001"), passed, passed},
	{"loopback", overlay, ether("9000", "0000"), passed, passed},
	{"batman-adv", overlay, ether("4305", v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"802.1BR", overlay, ether("893f", zeros(6)+"0800"+v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"VN-Tag", overlay, ether("8926", zeros(4)+"0800"+v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"a tag 0x9200", overlay, ether("9200", "000a0800"+v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"PPP", overlay, ether("880b", "0021"+v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"jumbo LLC", overlay, ether("8870", "aaaa030000000800"+v4(local4, inside4, 6, 0, tcp)), dropped, dropped},
	{"pause", overlay, ether("8808", "0001"), dropped, dropped},
	{"pause, allowed", overlayAllows, "0180c2000001" + peerMAC + "8808" + "0001", portVerdictALLOWED, portVerdictALLOWED},
	{"pause, allowed, tagged", overlayAllows, "0180c2000001" + peerMAC + "8100000a8808" + "0001", dropped, dropped},
	{"MPLS", overlay, ether("8847", "0000a140", v4(local4, elsewhere4, 6, 0, tcp)), dropped, dropped},
	{"PPPoE", overlay, ether("8864", "110000010000"+zeros(40)), dropped, dropped},
	{"ipv6 under ipv4's EtherType", overlay, ether("0800", v6(local6, elsewhere6, 6, 64, tcp)), dropped, dropped},
	{"router alert", overlay, ether("0800", v4options(local4, elsewhere4, 2, 0, "94040000", zeros(8))), passed, passed},
	{"router alert, protected", overlay, ether("0800", v4options(local4, inside4, 2, 0, "94040000", zeros(8))), dropped, dropped},
	{"loose source route", overlay, ether("0800", v4options(local4, elsewhere4, 6, 0, "0183070400000000"+"00000000", tcp)), dropped, dropped},
	{"an option of no octets", overlay, ether("0800", v4options(local4, elsewhere4, 6, 0, "44000000", tcp)), dropped, dropped},
	{"macsec", overlay, ether("88e5", "2c0000000001"), portVerdictMACSEC, portVerdictMACSEC},

	{"wireguard in", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(51821, 51820, wireguard(4, 28)))), tunnels, dropped},
	{"wireguard out", overlay, ether("0800", v4(local4, remote4, 17, 0, udp(51820, 51821, wireguard(4, 28)))), dropped, tunnels},
	{"wireguard in QinQ", overlay, ether("88a800648100000a0800", v4(remote4, local4, 17, 0, udp(51821, 51820, wireguard(4, 28)))), tunnels, dropped},
	{"wireguard from another port", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(51822, 51820, wireguard(4, 28)))), dropped, dropped},
	{"wireguard from another host", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(51821, 51820, wireguard(4, 28)))), dropped, dropped},
	{"wireguard, later fragment", overlay, ether("0800", v4(remote4, local4, 17, 0x0010, zeros(40))), dropped, dropped},
	{"roaming initiation", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(1, 144)))), tunnels, dropped},
	{"roaming response", overlay, ether("0800", v4(local4, inside4, 17, 0, udp(51830, 7, wireguard(2, 88)))), dropped, tunnels},
	{"roaming cookie", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(3, 60)))), tunnels, dropped},
	{"roaming keepalive", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(4, 28)))), tunnels, dropped},
	{"roaming, too short", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(4, 27)))), dropped, dropped},
	{"roaming, another type", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(5, 28)))), dropped, dropped},
	{"roaming, reserved octets", overlay, ether("0800", v4(inside4, local4, 17, 0, udp(7, 51830, wireguard(0x104, 28)))), dropped, dropped},

	{"esp in", overlay, ether("0800", v4(remote4, local4, 50, 0, esp(0x1001, 1))), tunnels, dropped},
	{"esp out", overlay, ether("0800", v4(local4, remote4, 50, 0, esp(0x2001, 1))), dropped, tunnels},
	{"esp, unknown SPI", overlay, ether("0800", v4(remote4, local4, 50, 0, esp(0x1002, 1))), dropped, dropped},
	{"esp, later fragment", overlay, ether("0800", v4(remote4, local4, 50, 0x0010, zeros(40))), dropped, dropped},
	{"esp elsewhere", overlay, ether("0800", v4(local4, elsewhere4, 50, 0, esp(9, 1))), passed, passed},
	{"esp in udp", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(4500, 4500, esp(0x1001, 2)))), tunnels, dropped},
	{"esp in udp, unknown SPI", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(4500, 4500, esp(0x1002, 2)))), dropped, dropped},
	{"ike", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(500, 500, zeros(28)))), tunnels, dropped},
	{"ike out", overlay, ether("0800", v4(local4, remote4, 17, 0, udp(500, 500, zeros(28)))), dropped, tunnels},
	{"ike at 4500", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(4500, 4500, zeros(32)))), tunnels, dropped},
	{"keepalive at 4500", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(4500, 4500, "ff"))), tunnels, dropped},
	{"ike, later fragment", overlay, ether("0800", v4(local4, remote4, 17, 0x0010, zeros(40))), dropped, dropped},
	{"ipv6 ike, later fragment", overlay, ether("86dd", v6(local6, remote6, 44, 64, "1100001000000001"+zeros(40))), dropped, dropped},
	{"an octet at 4500", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(4500, 4500, "fe"))), dropped, dropped},
	{"ike, another port", overlay, ether("0800", v4(remote4, local4, 17, 0, udp(501, 500, zeros(28)))), dropped, dropped},

	{"ipip", overlay, ether("0800", v4(local4, elsewhere4, 4, 0, v4(local4, inside4, 6, 0, tcp))), dropped, dropped},
	{"ipip, nothing protected", overlay, ether("0800", v4(local4, elsewhere4, 4, 0, v4(local4, elsewhere4, 6, 0, tcp))), passed, passed},
	{"ipip, later fragment", overlay, ether("0800", v4(local4, elsewhere4, 4, 0x0010, zeros(20))), dropped, dropped},
	{"ipip in ipip", overlay, ether("0800", v4(local4, elsewhere4, 4, 0, v4(local4, elsewhere4, 4, 0, v4(local4, inside4, 6, 0, tcp)))), dropped, dropped},
	{"gre in gre", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "00000800"+v4(local4, elsewhere4, 47, 0, "00000800"+v4(local4, inside4, 6, 0, tcp)))), dropped, dropped},
	{"6in4 in 4in6", overlay, ether("86dd", v6(local6, elsewhere6, 4, 64, v4(local4, elsewhere4, 41, 0, v6(local6, inside6, 6, 64, tcp)))), dropped, dropped},
	{"ipip, source route", overlay, ether("0800", v4(local4, elsewhere4, 4, 0, v4options(local4, elsewhere4, 6, 0, "8907040a14030700", tcp))), dropped, dropped},
	{"ipip, ah", overlay, ether("0800", v4(local4, elsewhere4, 4, 0, v4(local4, elsewhere4, 51, 0, "0404"+zeros(22)+v4(local4, inside4, 6, 0, tcp)))), dropped, dropped},
	{"6in4, segment left", overlay, ether("0800", v4(local4, elsewhere4, 41, 0, v6(local6, elsewhere6, 43, 64, "0602000100000000"+hex.EncodeToString(inside6.AsSlice())+tcp))), dropped, dropped},
	{"6in4, fragment", overlay, ether("0800", v4(local4, elsewhere4, 41, 0, v6(local6, elsewhere6, 44, 64, "0600000100000001"+tcp))), passed, passed},
	{"6in4, fragment of ah", overlay, ether("0800", v4(local4, elsewhere4, 41, 0, v6(local6, elsewhere6, 44, 64, "3300001000000001"+zeros(20)))), dropped, dropped},
	{"6in4", overlay, ether("0800", v4(local4, elsewhere4, 41, 0, v6(inside6, elsewhere6, 6, 64, tcp))), dropped, dropped},
	{"6in4, nothing protected", overlay, ether("0800", v4(local4, elsewhere4, 41, 0, v6(local6, elsewhere6, 6, 64, tcp))), passed, passed},
	{"gre", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "00000800"+v4(local4, inside4, 6, 0, tcp))), dropped, dropped},
	{"gre, nothing protected", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "00000800"+v4(local4, elsewhere4, 6, 0, tcp))), passed, passed},
	{"gre with checksum, key and sequence", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "b00086dd"+zeros(12)+v6(local6, inside6, 6, 64, tcp))), dropped, dropped},
	{"gre with key, nothing protected", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "20000800"+zeros(4)+v4(local4, elsewhere4, 6, 0, tcp))), passed, passed},
	{"gretap", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "00006558"+ether("0800", v4(local4, inside4, 6, 0, tcp)))), dropped, dropped},
	{"gretap, arp", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "00006558"+ether("0806", zeros(28)))), passed, passed},
	{"pptp", overlay, ether("0800", v4(local4, elsewhere4, 47, 0, "3001880b"+zeros(30))), dropped, dropped},
	{"vxlan, which is not looked into", overlay, ether("0800", v4(local4, elsewhere4, 17, 0, udp(7, 4789, "0800000000000700"+ether("0800", v4(local4, inside4, 6, 0, tcp))))), passed, passed},
	{"vxlan to a protected host", overlay, ether("0800", v4(local4, inside4, 17, 0, udp(7, 4789, "0800000000000700"+ether("0800", v4(local4, inside4, 6, 0, tcp))))), dropped, dropped},
	{"l2tp", overlay, ether("0800", v4(local4, elsewhere4, 115, 0, zeros(30))), dropped, dropped},
	{"ah over ipip", overlay, ether("0800", v4(local4, elsewhere4, 51, 0, "0404"+zeros(22)+v4(inside4, elsewhere4, 6, 0, tcp))), dropped, dropped},
	{"ah over tcp", overlay, ether("0800", v4(local4, elsewhere4, 51, 0, "0604"+zeros(22)+tcp)), passed, passed},

	{"ipv6 elsewhere", overlay, ether("86dd", v6(local6, elsewhere6, 6, 64, tcp)), passed, passed},
	{"ipv6 to a protected prefix", overlay, ether("86dd", v6(local6, inside6, 6, 64, tcp)), dropped, dropped},
	{"ipv6 from a protected prefix", overlay, ether("86dd", v6(inside6, local6, 6, 64, tcp)), dropped, dropped},
	{"ipv6, QinQ", overlay, ether("88a800648100000a86dd", v6(local6, inside6, 6, 64, tcp)), dropped, dropped},
	{"ipv6 later fragment", overlay, ether("86dd", v6(local6, inside6, 44, 64, "1100001000000001"+zeros(20))), dropped, dropped},
	{"ipv6 later fragment elsewhere", overlay, ether("86dd", v6(local6, elsewhere6, 44, 64, "1100001000000001"+zeros(20))), passed, passed},
	{"ipv6 later fragment of options", overlay, ether("86dd", v6(local6, elsewhere6, 44, 64, "3c00001000000001"+zeros(20))), dropped, dropped},
	{"neighbour solicitation for a protected address", overlay, ether("86dd", v6(inside6, local6, 58, 255, "87000000"+zeros(20))), passed, passed},
	{"neighbour solicitation to a group", overlay, ether("86dd", v6(inside6, netip.MustParseAddr("ff02::1:ff00:7"), 58, 255, "87000000"+zeros(20))), passed, passed},
	{"neighbour solicitation to a link's own address", overlay, ether("86dd", v6(inside6, netip.MustParseAddr("fe80::7"), 58, 255, "87000000"+zeros(20))), passed, passed},
	{"neighbour solicitation to a protected host", overlay, ether("86dd", v6(local6, inside6, 58, 255, "87000000"+zeros(200))), dropped, dropped},
	{"redirect from a protected host", overlay, ether("86dd", v6(inside6, elsewhere6, 58, 255, "89000000"+zeros(200))), dropped, dropped},
	{"redirect from a router", overlay, ether("86dd", v6(netip.MustParseAddr("fe80::1"), elsewhere6, 58, 255, "89000000"+zeros(36))), passed, passed},
	{"neighbour solicitation that was forwarded", overlay, ether("86dd", v6(inside6, local6, 58, 254, "87000000"+zeros(20))), dropped, dropped},
	{"echo with hop limit 255", overlay, ether("86dd", v6(inside6, local6, 58, 255, "80000000"+zeros(20))), dropped, dropped},
	{"multicast listener report", overlay, ether("86dd", v6(local6, netip.MustParseAddr("ff02::16"), 0, 1, "3a000502000001008f000000"+zeros(24))), passed, passed},
	{"segment left", overlay, ether("86dd", v6(local6, elsewhere6, 43, 64, "0602000100000000"+hex.EncodeToString(inside6.AsSlice())+tcp)), dropped, dropped},
	{"no segment left", overlay, ether("86dd", v6(local6, elsewhere6, 43, 64, "0602000000000000"+hex.EncodeToString(elsewhere6.AsSlice())+tcp)), passed, passed},
	{"nine extension headers", overlay, ether("86dd", v6(local6, elsewhere6, 60, 64, headers(60, 8)+"0600010400000000"+tcp)), dropped, dropped},
	{"seven extension headers", overlay, ether("86dd", v6(local6, elsewhere6, 60, 64, headers(60, 6)+"0600010400000000"+tcp)), passed, passed},
	{"cut extension header", overlay, ether("86dd", v6(local6, elsewhere6, 60, 64, "06000104")), dropped, dropped},
	{"4in6", overlay, ether("86dd", v6(local6, elsewhere6, 4, 64, v4(inside4, elsewhere4, 6, 0, tcp))), dropped, dropped},
	{"6in6", overlay, ether("86dd", v6(local6, elsewhere6, 41, 64, v6(inside6, elsewhere6, 6, 64, tcp))), dropped, dropped},
	{"6in6 behind options", overlay, ether("86dd", v6(local6, elsewhere6, 60, 64, "2900010400000000"+v6(inside6, elsewhere6, 6, 64, tcp))), dropped, dropped},
	{"gre over ipv6", overlay, ether("86dd", v6(local6, elsewhere6, 47, 64, "00000800"+v4(inside4, elsewhere4, 6, 0, tcp))), dropped, dropped},

	{"ipv6 wireguard in", overlay, ether("86dd", v6(remote6, local6, 17, 64, udp(51820, 51820, wireguard(4, 28)))), tunnels, dropped},
	{"ipv6 wireguard out", overlay, ether("86dd", v6(local6, remote6, 17, 64, udp(51820, 51820, wireguard(4, 28)))), dropped, tunnels},
	{"ipv6 roaming in", overlay, ether("86dd", v6(inside6, local6, 17, 64, udp(9, 51830, wireguard(1, 144)))), tunnels, dropped},
	{"ipv6 roaming out", overlay, ether("86dd", v6(local6, inside6, 17, 64, udp(51830, 9, wireguard(1, 144)))), dropped, tunnels},
	{"ipv6 esp, any SPI", overlay, ether("86dd", v6(remote6, local6, 50, 64, esp(77, 5))), tunnels, dropped},
	{"ipv6 esp, later fragment", overlay, ether("86dd", v6(remote6, local6, 44, 64, "3200001000000001"+zeros(20))), tunnels, dropped},
	{"ipv6 esp in udp", overlay, ether("86dd", v6(local6, remote6, 17, 64, udp(4500, 4500, esp(78, 5)))), dropped, tunnels},
	{"ipv6 ike", overlay, ether("86dd", v6(remote6, local6, 17, 64, udp(500, 500, zeros(28)))), tunnels, dropped},

	{"tunnel where all must be secure", closed, ether("0800", v4(remote4, local4, 50, 0, esp(0x1001, 1))), portVerdictDROPPED, portVerdictDROPPED},
	{"macsec where all must be secure", closed, ether("88e5", "2c0000000001"), portVerdictMACSEC, portVerdictMACSEC},
}

// headers are n empty headers of options, each before one more.
func headers(next byte, n int) (all string) {
	for range n {
		all += fmt.Sprintf("%02x00010400000000", next)
	}
	return all
}

// Before the maps are written, no address is known to be another's.
func TestNothingKnown(t *testing.T) {
	f := overlay
	s, err := f.settings(portAddress)
	if err != nil {
		t.Fatal(err)
	}
	p := settled(t, s, func(*ebpf.CollectionSpec) {})
	for _, tt := range underlayPackets {
		if tt.filter.Underlay == nil || !tt.filter.CountOnly || len(tt.filter.Allow) > 0 {
			continue
		}
		frame := octets(t, tt.frame, 60)
		want := xdpDrop
		if kind := binary.BigEndian.Uint16(frame[12:]); tt.in != dropped && (kind != 0x0800 && kind != 0x86dd && kind != 0x8100 && kind != 0x88a8 ||
			tt.name == "slow protocols, QinQ" || tt.name == "neighbour solicitation to a group" || tt.name == "neighbour solicitation to a link's own address") {
			want = xdpPass
		}
		got, err := p.in.Run(&ebpf.RunOptions{Data: frame})
		if err != nil || got != uint32(want) {
			t.Errorf("%s: %d, %v; want %d", tt.name, got, err, want)
		}
	}
}
