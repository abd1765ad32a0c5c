package inspect

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	west4, east4 = netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.20.0.5")
	west6, east6 = netip.MustParseAddr("fd00::4"), netip.MustParseAddr("fd00::5")
)

// packetOf is an Ethernet frame with an IP packet of the payload, padded.
func packetOf(from, to netip.Addr, protocol, dscp uint8, payload []byte) []byte {
	b := []byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01")
	if from.Is4() {
		b = append(b, 0x08, 0x00, 0x45, dscp<<2)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(payload)))
		b = append(b, 0, 1, 0, 0, 64, protocol, 0, 0)
	} else {
		b = append(b, 0x86, 0xdd)
		b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(dscp)<<22)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
		b = append(b, protocol, 64)
	}
	b = append(append(append(b, from.AsSlice()...), to.AsSlice()...), payload...)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

func udpOf(fromPort, toPort uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, fromPort)
	b = binary.BigEndian.AppendUint16(b, toPort)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func espOf(spi, sequence uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, spi)
	return append(binary.BigEndian.AppendUint32(b, sequence), make([]byte, 64)...)
}

// ikeOf is a message with payloads, the first of which is of type next.
func ikeOf(exchange, flags, next uint8, id uint32, payloads ...byte) []byte {
	b := append([]byte("initiatoresponde"), next, 0x20, exchange, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	return append(binary.BigEndian.AppendUint32(b, uint32(28+len(payloads))), payloads...)
}

func wgOf(kind byte, sender, receiver uint32, counter uint64, more int) []byte {
	b := []byte{kind, 0, 0, 0}
	if kind < 3 {
		b = binary.LittleEndian.AppendUint32(b, sender)
	}
	if kind > 1 {
		b = binary.LittleEndian.AppendUint32(b, receiver)
	}
	if kind == wireGuardData {
		b = binary.LittleEndian.AppendUint64(b, counter)
	}
	return append(b, make([]byte, wireGuardTypes[kind].length-len(b)+more)...)
}

// seen has one Inspector without keys see the frames; what they are as JSON.
func seen(t *testing.T, in *Inspector, frames ...[]byte) (lines []string) {
	t.Helper()
	for i, f := range frames {
		r := in.Frame(time.Unix(1e9, int64(i)).UTC(), f, len(f))
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(line), `"dst":"02:00:00:00:00:02",`)
		lines = append(lines, fmt.Sprintf("%s {%s", r.Kind, text))
	}
	return lines
}

func udp4(fromPort, toPort uint16, payload []byte) []byte {
	return packetOf(west4, east4, protoUDP, 0, udpOf(fromPort, toPort, payload))
}

// Each kind of packet as one line of JSON.
func TestTunnelRecords(t *testing.T) {
	later := packetOf(west4, east4, protoESP, 0, make([]byte, 100))
	later[14+7] = 185
	laterUDP := packetOf(west4, east4, protoUDP, 0, make([]byte, 100))
	laterUDP[14+7] = 185
	options := append([]byte{protoESP, 0, 1, 4, 0, 0, 0, 0}, espOf(0x1000, 1)...) // hop by hop
	for name, c := range map[string]struct {
		frame []byte
		want  string
	}{
		"esp":          {packetOf(west4, east4, protoESP, 46, espOf(0xc0ffee01, 7)), `esp {"from":"10.0.0.4","to":"10.20.0.5","dscp":46,"spi":"c0ffee01","sequence":7,"udp_encapsulated":false,"length":72}`},
		"esp, IPv6":    {packetOf(west6, east6, protoESP, 10, espOf(0x1000, 1)), `esp {"from":"fd00::4","to":"fd00::5","dscp":10,"spi":"00001000","sequence":1,"udp_encapsulated":false,"length":72}`},
		"esp, options": {packetOf(west6, east6, 0, 0, options), `esp {"from":"fd00::4","to":"fd00::5","spi":"00001000","sequence":1,"udp_encapsulated":false,"length":72}`},
		"esp in UDP":   {udp4(4500, 4500, espOf(0xc0ffee01, 7)), `esp {"from":"10.0.0.4:4500","to":"10.20.0.5:4500","spi":"c0ffee01","sequence":7,"udp_encapsulated":true,"length":72}`},
		"esp, nat":     {udp4(4500, 61001, espOf(0xc0ffee01, 7)), `esp {"from":"10.0.0.4:4500","to":"10.20.0.5:61001","spi":"c0ffee01","sequence":7,"udp_encapsulated":true,"length":72}`},
		"esp, later":   {later, `esp {"from":"10.0.0.4","to":"10.20.0.5","udp_encapsulated":false,"length":100,"fragment":true}`},
		"esp, short":   {packetOf(west4, east4, protoESP, 0, []byte{1, 2, 3, 4, 5}), `esp {"from":"10.0.0.4","to":"10.20.0.5","udp_encapsulated":false,"length":5,"error":"an ESP packet of 5 octets has no SPI and sequence number"}`},
		"esp, SPI":     {packetOf(west4, east4, protoESP, 0, espOf(255, 1)), `esp {"from":"10.0.0.4","to":"10.20.0.5","spi":"000000ff","sequence":1,"udp_encapsulated":false,"length":72,"error":"SPI 255 is reserved (RFC 4303, 2.1)"}`},
		"esp, 0":       {packetOf(west4, east4, protoESP, 0, espOf(256, 0)), `esp {"from":"10.0.0.4","to":"10.20.0.5","spi":"00000100","udp_encapsulated":false,"length":72,"error":"sequence number 0 is never sent: the first is 1 (RFC 4303, 2.2)"}`},
		"ike":          {udp4(500, 500, ikeOf(34, 0x08, 0, 0)), `ike {"from":"10.0.0.4:500","to":"10.20.0.5:500","udp_encapsulated":false,"version":"2.0","exchange":"IKE_SA_INIT","initiator_spi":"696e69746961746f","responder_spi":"726573706f6e6465","initiator":true,"response":false,"message_id":0,"length":28}`},
		"ike, refused": {udp4(500, 500, ikeOf(34, 0x20, 41, 0, 46, 0, 0, 8, 0, 0, 0, 14, 41, 0, 0, 99)), `ike {"from":"10.0.0.4:500","to":"10.20.0.5:500","udp_encapsulated":false,"version":"2.0","exchange":"IKE_SA_INIT","initiator_spi":"696e69746961746f","responder_spi":"726573706f6e6465","initiator":false,"response":true,"message_id":0,"length":40,"notify":["NO_PROPOSAL_CHOSEN"]}`},
		"ike in UDP":   {udp4(4500, 4500, append(make([]byte, 4), ikeOf(36, 0x08, 46, 3)...)), `ike {"from":"10.0.0.4:4500","to":"10.20.0.5:4500","udp_encapsulated":true,"version":"2.0","exchange":"CREATE_CHILD_SA","initiator_spi":"696e69746961746f","responder_spi":"726573706f6e6465","initiator":true,"response":false,"message_id":3,"length":28}`},
		"ike, short":   {udp4(500, 500, []byte("hello")), `ike {"from":"10.0.0.4:500","to":"10.20.0.5:500","udp_encapsulated":false,"exchange":"","initiator":false,"response":false,"message_id":0,"length":5,"error":"an IKE message of 5 octets has no header"}`},
		"keepalive":    {udp4(4500, 4500, []byte{0xff}), `ike {"from":"10.0.0.4:4500","to":"10.20.0.5:4500","udp_encapsulated":true,"exchange":"nat-keepalive","initiator":false,"response":false,"message_id":0,"length":1}`},
		"wg 1":         {udp4(51820, 51820, wgOf(1, 0x0a0b0c0d, 0, 0, 0)), `wireguard {"from":"10.0.0.4:51820","to":"10.20.0.5:51820","type":"handshake_initiation","sender_index":"0a0b0c0d","length":148}`},
		"wg 2":         {udp4(51820, 51820, wgOf(2, 2, 1, 0, 0)), `wireguard {"from":"10.0.0.4:51820","to":"10.20.0.5:51820","type":"handshake_response","sender_index":"00000002","receiver_index":"00000001","length":92}`},
		"wg 3":         {udp4(51820, 51820, wgOf(3, 0, 1, 0, 0)), `wireguard {"from":"10.0.0.4:51820","to":"10.20.0.5:51820","type":"cookie_reply","receiver_index":"00000001","length":64}`},
		"wg 4":         {packetOf(west6, east6, protoUDP, 0, udpOf(51820, 7, wgOf(4, 0, 1, 0, 16))), `wireguard {"from":"[fd00::4]:51820","to":"[fd00::5]:7","type":"data","receiver_index":"00000001","counter":0,"length":48,"hint":"by its form alone: the handshake of this session is not in the capture"}`},
		"wg 1, long":   {udp4(51820, 51820, append(wgOf(1, 1, 0, 0, 0), 0)), `clear {"ethertype":"0x0800"}`},
		"dns":          {udp4(53, 51820, wgOf(4, 0, 1, 0, 16)), `clear {"ethertype":"0x0800"}`},
		"tcp":          {packetOf(west4, east4, 6, 0, wgOf(4, 0, 1, 0, 16)), `clear {"ethertype":"0x0800"}`},
		"udp, later":   {laterUDP, `clear {"ethertype":"0x0800","hint":"a later fragment of UDP: what it carries is not known"}`},
	} {
		if got := seen(t, newInspector(t, Options{}), c.frame)[0]; got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// The verdict counts SAs and sessions, with what is missing, and says what is in
// clear beside them.
func TestTunnelVerdict(t *testing.T) {
	in := newInspector(t, Options{})
	var list [][]byte
	for _, n := range []uint32{1, 2, 5, 4, 5, 9} { // 3, 6, 7, 8 are missing, 5 comes twice
		list = append(list, packetOf(west4, east4, protoESP, 0, espOf(0xc0ffee01, n)))
	}
	list = append(list, udp4(4500, 4500, espOf(0xc0ffee02, 1)), udp4(500, 500, ikeOf(34, 8, 0, 0)), udp4(500, 500, ikeOf(34, 0x20, 41, 0, 0, 0, 0, 8, 0, 0, 0, 14)),
		udp4(7, 51820, wgOf(1, 1, 0, 0, 0)), packetOf(east4, west4, protoUDP, 0, udpOf(51820, 7, wgOf(2, 2, 1, 0, 0))))
	for n := range uint64(4) {
		list = append(list, udp4(7, 51820, wgOf(4, 0, 2, n, 0)))
	}
	list = append(list, packetOf(west4, netip.MustParseAddr("10.20.7.7"), 1, 0, make([]byte, 40)))
	lines := seen(t, in, list...)
	for i, want := range map[int]string{2: `"gap":2`, 4: `"repeated":true`, 5: `"gap":3`} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("frame %d: no %s in %s", i+1, want, lines[i])
		}
	}
	want := `ESP: 7 packets of 2 SAs, 1 in UDP
  SPI c0ffee01 to 10.20.0.5: 6 packets, sequence 1 to 9, 4 missing, 1 repeated
  SPI c0ffee02 to 10.20.0.5: 1 packet, sequence 1 to 1, none missing
IKE: IKE_SA_INIT 2
  refused in clear: NO_PROPOSAL_CHOSEN 1
WireGuard: 6 messages: handshakes begun 1, answered 1, cookie replies 0, data 4
  receiver 00000002 at 10.20.0.5: 4 packets, 4 keepalives, counter 0 to 3, none missing
clear frames besides: 1, not protected (0x0800 1)
  in clear: 10.0.0.4 > 10.20.7.7 ICMP, 1 frame`
	if got := strings.Join(in.Verdict(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A packet that the snap length cut is told as far as its header goes.
func TestTunnelsCut(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		at    int
		want  string
	}{
		"esp":           {packetOf(west4, east4, protoESP, 0, espOf(0xc0ffee01, 7)), 42, `"sequence":7,"udp_encapsulated":false,"length":72,"error":"the capture has`},
		"esp, no SPI":   {packetOf(west4, east4, protoESP, 0, espOf(0xc0ffee01, 7)), 40, `"udp_encapsulated":false,"length":72,"error":"the capture has`},
		"ike":           {udp4(500, 500, ikeOf(36, 8, 46, 0, make([]byte, 90)...)), 72, `"length":118,"error":"the capture has`},
		"wg data":       {udp4(7, 8, wgOf(4, 0, 1, 300, 1000)), 58, `"counter":300,"length":1032,"error":"the capture has`},
		"wg initiation": {udp4(7, 8, wgOf(1, 1, 0, 0, 0)), 46, `"type":"handshake_initiation","length":148,"error":"the capture has`},
	} {
		in := newInspector(t, Options{})
		r := in.Frame(time.Unix(1e9, 0), c.frame[:c.at], len(c.frame))
		line, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(line), c.want) {
			t.Errorf("%s: no %s in %s, %v", name, c.want, line, err)
		}
		if in.tunnels.malformed != 0 {
			t.Errorf("%s: it is malformed", name)
		}
	}
}

// What an attacker sends costs no more than the tallies have room for.
func TestTunnelsBounded(t *testing.T) {
	in := newInspector(t, Options{})
	for i := range uint32(3 * maxTallies) {
		from := netip.AddrFrom4([4]byte{1, 2, byte(i >> 8), byte(i)})
		for _, f := range [][]byte{
			packetOf(from, east4, protoESP, 0, espOf(i+256, 1)), packetOf(from, east4, 6, 0, nil),
			packetOf(from, east4, protoUDP, 0, udpOf(1, 2, wgOf(2, i, i+1, 0, 0))), packetOf(from, east4, protoUDP, 0, udpOf(500, 500, ikeOf(uint8(i), 0, 0, i))),
		} {
			in.Frame(time.Unix(1e9, 0), f, len(f))
		}
	}
	n := &in.tunnels
	for name, entries := range map[string]int{"SAs": len(n.sas), "sessions": len(n.sessions), "pairs": len(n.pairs) / 2, "conversations": len(n.clear), "exchanges": len(n.exchanges)} {
		if entries > maxTallies {
			t.Errorf("%d %s", entries, name)
		}
	}
	if lines := in.Verdict(); len(lines) > 80 {
		t.Errorf("the verdict has %d lines", len(lines))
	}
}

// FuzzTunnels: no frame makes the Inspector panic, or say what is no JSON.
func FuzzTunnels(f *testing.F) {
	for _, b := range [][]byte{
		packetOf(west4, east4, protoESP, 46, espOf(0xc0ffee01, 7)), packetOf(west6, east6, protoESP, 0, espOf(1, 1)), udp4(4500, 4500, espOf(0xc0ffee01, 0)),
		udp4(4500, 4500, append(make([]byte, 4), ikeOf(36, 0x08, 46, 3)...)), udp4(500, 500, ikeOf(34, 0x20, 41, 0, 41, 0, 0, 8, 0, 0, 0, 14, 0, 0, 0, 8, 0, 0, 0, 17)),
		udp4(1, 2, wgOf(1, 1, 0, 0, 0)), udp4(1, 2, wgOf(2, 1, 2, 0, 0)), udp4(1, 2, wgOf(3, 0, 2, 0, 0)), udp4(1, 2, wgOf(4, 0, 2, 1<<40, 16)),
		packetOf(west6, east6, 44, 0, append([]byte{protoUDP, 0, 0, 8, 0, 0, 0, 1}, make([]byte, 40)...)),
	} {
		f.Add(b, uint16(0), uint64(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, n uint64) {
		in := newInspector(t, Options{})
		for range 2 {
			r := in.Frame(time.Unix(1e9, 0), b, len(b)+int(cut))
			line, err := json.Marshal(r)
			if err != nil || !json.Valid(line) || strings.Contains(r.Text(), "%!") {
				t.Fatalf("%v: %s", err, r.Text())
			}
		}
		in.Verdict()
		var s sequence
		for _, v := range []uint64{n, n + 1, n / 2, s.extend(uint32(n)), uint64(cut)} {
			s.note(v)
		}
		if s.missing() > s.highest-s.lowest {
			t.Fatalf("%+v: %d missing", s, s.missing())
		}
	})
}
