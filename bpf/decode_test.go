package bpf

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestHead(t *testing.T) {
	const addresses = portMAC + peerMAC
	for _, tt := range []struct{ name, frame, want string }{
		{"tcp", addresses + "0800" + "4500002800000000" + "4006" + "0000" + "0a000001" + "0a000002" + "1f900050", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800 tcp 10.0.0.1:8080 > 10.0.0.2:80"},
		{"later fragment", addresses + "0800" + "4500002800000001" + "4011" + "0000" + "0a000001" + "0a000002" + "1f900050", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800 udp 10.0.0.1 > 10.0.0.2"},
		{"options", addresses + "0800" + "4600002800000000" + "4011" + "0000" + "0a000001" + "0a000002" + "01020304" + "00350036", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800 udp 10.0.0.1:53 > 10.0.0.2:54"},
		{"QinQ ipv6", addresses + "88a80064" + "8100f00a" + "86dd" + "60000000" + "0008" + "11" + "40" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "00350036", "02:00:00:00:00:02 > 02:00:00:00:00:01 vlan 100 vlan 10 ethertype 0x86dd udp [2001:db8::1]:53 > [2001:db8::2]:54"},
		{"arp", addresses + "0806" + "0001", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0806"},
		{"ipv4 that is none", addresses + "0800" + "6500002800000000" + "4006" + "0000" + "0a000001" + "0a000002", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800"},
		{"a tag that is cut", addresses + "8100" + "00", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x8100"},
		{"protocol without a name", addresses + "0800" + "4500002800000000" + "4059" + "0000" + "0a000001" + "0a000002" + "1f900050", "02:00:00:00:00:02 > 02:00:00:00:00:01 ethertype 0x0800 protocol 89 10.0.0.1 > 10.0.0.2"},
	} {
		if got := parseHead(octets(t, tt.frame, 0)).String(); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// event is struct event with that head.
func event(direction, verdict uint8, head []byte) []byte {
	e := portEvent{Time: 1, Size: 60, Direction: direction, Verdict: verdict, Has: uint8(len(head))}
	copy(e.Head[:], head)
	b, err := binary.Append(nil, binary.NativeEndian, &e)
	if err != nil {
		panic(err)
	}
	return append(b, make([]byte, eventSize-len(b))...)
}

// Whatever the ring holds: nothing is read beyond it, and what is known is of
// a direction and reason that there are.
func FuzzEvent(f *testing.F) {
	f.Add(event(0, uint8(portVerdictDROPPED), []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0, 0x45}))
	f.Add(event(1, uint8(portVerdictTAGGED), bytes.Repeat([]byte{0x81, 0}, 40)))
	f.Add(event(2, 9, nil))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeEvent(b)
		if err != nil {
			return
		}
		if len(b) < eventSize || reasons[d.Reason] == "" || d.Direction > Egress || len(d.Tags) > 2 {
			t.Errorf("%x is %+v", b, d)
		}
		_ = d.Head.String()
	})
}
