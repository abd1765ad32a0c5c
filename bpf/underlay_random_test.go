package bpf

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// packetMaker makes frames that are often almost a tunnel's, or almost protected.
type packetMaker struct{ *rand.Rand }

func pick[T any](m packetMaker, of ...T) T { return of[m.IntN(len(of))] }

func (m packetMaker) often() bool { return m.IntN(4) > 0 }

func (m packetMaker) addr(six bool) netip.Addr {
	if six {
		return pick(m, local6, remote6, elsewhere6, inside6, netip.MustParseAddr("2001:db8:21::"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("febf::1"), netip.MustParseAddr("ff02::1"), netip.MustParseAddr("2001:db8:1f:ffff:ffff:ffff:ffff:ffff"))
	}
	return pick(m, local4, remote4, elsewhere4, inside4, netip.MustParseAddr("10.21.0.0"), netip.MustParseAddr("10.19.255.255"))
}

func (m packetMaker) tail() string {
	b := make([]byte, m.IntN(40))
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return hex.EncodeToString(b)
}

func (m packetMaker) packet(depth int) (string, uint16) {
	six := m.IntN(2) == 0
	source, destination := m.addr(six), m.addr(six)
	if m.often() { // between a tunnel's ends
		source, destination = local4, remote4
		if six {
			source, destination = local6, remote6
		}
		if m.IntN(2) == 0 {
			source, destination = destination, source
		}
	}
	protocol := pick[byte](m, 6, 17, 17, 17, 17, 17, 17, 50, 50, 50, 50, 4, 41, 47, 58, 51, 55, 94, 97, 98, 108, 115, 137, 143, 1)
	payload := m.payload(protocol, depth)
	if !six {
		options := ""
		if !m.often() {
			options = pick(m, "94040000", "01010101", "0183070400000000"+"00000000", "4408050000000000", "0101", "000000ff", "94050000", zeros(40))
		}
		if protocol == 51 {
			payload = m.extensions(&protocol, payload)
			protocol = 51
		}
		options += zeros((4 - len(options)/2%4) % 4)
		return v4options(source, destination, protocol, pick[uint16](m, 0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0007), options, payload), 0x0800
	}
	if !m.often() {
		payload = m.extensions(&protocol, payload)
	}
	return v6(source, destination, protocol, pick[byte](m, 64, 255), payload), 0x86dd
}

// extensions are headers before the payload; protocol becomes the first's.
func (m packetMaker) extensions(protocol *byte, payload string) string {
	if *protocol == 51 {
		*protocol = pick[byte](m, 4, 6, 50, 17)
	}
	for range 1 + m.IntN(9) {
		kind := pick[byte](m, 0, 43, 44, 51, 60, 60, 135, 139, 140)
		h := fmt.Sprintf("%02x00", *protocol) + pick(m, "0000", "0000", "0001", "0010", "0200") + zeros(4)
		if kind == 51 {
			h = fmt.Sprintf("%02x04", *protocol) + zeros(22)
		}
		if kind == 60 && !m.often() {
			h = fmt.Sprintf("%02x%02x", *protocol, 7) + zeros(62)
		}
		*protocol, payload = kind, h+payload
	}
	return payload
}

func (m packetMaker) payload(protocol byte, depth int) string {
	switch protocol {
	case 17:
		p := pick(m, [2]uint16{500, 500}, [2]uint16{4500, 4500}, [2]uint16{51820, 51820}, [2]uint16{51821, 51820}, [2]uint16{51820, 51821},
			[2]uint16{9, 51830}, [2]uint16{51830, 9}, [2]uint16{500, 4500}, [2]uint16{9, 9})
		return udp(p[0], p[1], pick(m, "ff", "fe", zeros(4), zeros(28), esp(0x1001, m.Uint32()), esp(0x2001, m.Uint32()), esp(0x3001, 7), m.tail(),
			wireguard(1, 144), wireguard(2, 88), wireguard(3, 60), wireguard(4, 28), wireguard(4, 27), wireguard(0x104, 28), wireguard(4, 100)))
	case 50:
		return esp(pick[uint32](m, 0, 0x1001, 0x2001, 0x3001), m.Uint32())
	case 4, 41:
		if depth == 0 {
			inner, _ := m.packet(1)
			return inner
		}
	case 47:
		if depth == 0 {
			inner, kind := m.packet(1)
			head := pick(m, "0000", "8000", "2000", "1000", "b000", "0001", "4000")
			n := map[string]int{"8000": 4, "2000": 4, "1000": 4, "b000": 12}[head]
			if m.often() {
				return head + fmt.Sprintf("%04x", kind) + zeros(n) + inner
			}
			return head + "6558" + zeros(n) + ether(pick(m, fmt.Sprintf("%04x", kind), "0806", "8100"), inner)
		}
	case 58:
		return fmt.Sprintf("%02x000000", pick[byte](m, 128, 132, 133, 134, 135, 137, 138)) + zeros(20)
	}
	return m.tail()
}

func (m packetMaker) frame(t *testing.T) []byte {
	inner, kind := m.packet(0)
	if !m.often() {
		kind = pick[uint16](m, 0x0806, 0x8847, 0x8864, 0x88cc, 0x8809, 0x88f7, 0x8902, 0x9000, 0x4305, 0x880b, 0x0040, 0x888e, 0x88e5, 0x0800, 0x86dd, 0x6558, 0xf1c1)
		if kind == 0x0040 {
			inner = pick(m, "aaaa030000000800", "aaaa030000f80800", "aaaa0300000c2000", "060603", "424203", "424303") + inner
		}
	}
	tags := ""
	for range pick(m, 0, 0, 1, 2, 3) {
		tags += pick(m, "8100000a", "88a80064", "91000001")
	}
	b := octets(t, pick(m, portMAC, pae, peerMAC)+otherMAC+tags+fmt.Sprintf("%04x", kind)+inner, 0)
	if !m.often() {
		b = b[:14+m.IntN(len(b)-13)]
	}
	if !m.often() {
		b[12+m.IntN(len(b)-12)] ^= 1 << m.IntN(8)
	}
	return b
}

// Random frames and cuts of them, both ways, against the plain model: each is
// passed or dropped the same, and at the end the counters are.
func TestUnderlayRandom(t *testing.T) {
	frames := 20000
	if os.Getenv("LINKSEAL_SOAK") != "" {
		frames = 2000000
	}
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	m := packetMaker{rand.New(rand.NewPCG(seed, 1))}
	model, err := newModel(hub)
	if err != nil {
		t.Fatal(err)
	}
	p := loaded(t, overlay)
	var want [directions][portVerdictVERDICTS]Counter
	flows := map[FlowID]Counter{}
	for range frames {
		frame := m.frame(t)
		for d, prog := range []*program{p.in, p.out} {
			verdict, id := model.judge(frame, d == 1)
			xdp, tc := answers(verdict)
			got, err := prog.Run(&ebpf.RunOptions{Data: frame})
			if d == 1 && errors.Is(err, unix.EINVAL) && cut(frame) {
				continue // the kernel runs no test on it
			}
			if err != nil {
				t.Fatalf("%x: %v", frame, err)
			}
			if got != [...]uint32{xdp, tc}[d] {
				t.Fatalf("direction %d answers %d to %x; want verdict %d, %+v", d, int32(got), frame, verdict, id)
			}
			want[d][verdict].Packets++
			want[d][verdict].Octets += uint64(len(frame))
			if verdict == portVerdictTUNNEL {
				flows[id] = Counter{flows[id].Packets + 1, flows[id].Octets + uint64(len(frame))}
			}
		}
	}
	for d, name := range []string{portMapIngress, portMapEgress} {
		v, err := verdicts(p.held(name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range portVerdictVERDICTS {
			if v.of(i) != want[d][i] {
				t.Errorf("%s counter %d is %+v, want %+v", name, i, v.of(i), want[d][i])
			}
		}
		t.Logf("%s: %+v", name, v)
		for _, i := range []portVerdict{portVerdictCLEAR, portVerdictTUNNEL, portVerdictPROTECTED} {
			if v.of(i).Packets < uint64(frames/100) {
				t.Errorf("%s counter %d is %+v of %d frames: the test has lost its point", name, i, v.of(i), frames)
			}
		}
	}
	u, err := underlayOf(p.held)
	if err != nil {
		t.Fatal(err)
	}
	counters, err := u.counters()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counters {
		if c.Counter != flows[c.FlowID] {
			t.Errorf("flow %+v counts %+v, want %+v", c.FlowID, c.Counter, flows[c.FlowID])
		}
		if c.Packets == 0 {
			t.Errorf("flow %+v was never met: the test has lost its point", c.FlowID)
		}
	}
}

// cut tells of a frame whose EtherType is IP's, and which is too short for it.
func cut(frame []byte) bool {
	kind := binary.BigEndian.Uint16(frame[12:])
	return kind == 0x0800 && len(frame) < 14+20 || kind == 0x86dd && len(frame) < 14+40 || len(frame) == 14
}
