package early

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/linux/probe/probetest"
)

// packet is an IP packet of ESP, in UDP if port is not 0.
func packet(src, dst string, port uint16, spi uint32) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	proto := byte(protoESP)
	esp := append(binary.BigEndian.AppendUint32(nil, spi), "sequence and ciphertext"...)
	if port != 0 {
		udp := binary.BigEndian.AppendUint16(nil, 4500)
		udp = binary.BigEndian.AppendUint16(udp, port)
		udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(esp)))
		esp, proto = append(append(udp, 0xde, 0xad), esp...), protoUDP
	}
	if s.Is4() {
		b := make([]byte, 20)
		b[0], b[8], b[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(esp)))
		copy(b[12:], s.AsSlice())
		copy(b[16:], d.AsSlice())
		return append(b, esp...)
	}
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(esp)))
	copy(b[8:], s.AsSlice())
	copy(b[24:], d.AsSlice())
	return append(b, esp...)
}

func fragment(b []byte) []byte { b[7] = 1; return b }

func TestParseAndFilter(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      []byte
		spi    uint32
		passes bool
	}{
		{"ESP", packet("10.0.0.2", "10.0.0.1", 0, 0x1234), 0x1234, true},
		{"ESP in UDP", packet("10.0.0.2", "10.0.0.1", 4500, 0x1234), 0x1234, true},
		{"known", packet("10.0.0.2", "10.0.0.1", 0, 0x9999), 0x9999, false},
		{"known in UDP", packet("10.0.0.2", "10.0.0.1", 4500, 0x9999), 0x9999, false},
		{"IKE", packet("10.0.0.2", "10.0.0.1", 4500, 0), 0, false},
		{"other port", packet("10.0.0.2", "10.0.0.1", 500, 0x1234), 0, false},
		{"of another", packet("10.0.0.3", "10.0.0.1", 0, 0x1234), 0x1234, false},
		{"to another", packet("10.0.0.2", "10.0.0.9", 0, 0x1234), 0x1234, false},
		{"later fragment", fragment(packet("10.0.0.2", "10.0.0.1", 0, 0x1234)), 0, false},
		{"too short", packet("10.0.0.2", "10.0.0.1", 0, 0x1234)[:22], 0, false},
		{"nothing", nil, 0, false},
	} {
		if spi, _, _ := parse(c.b); spi != c.spi {
			t.Errorf("%s: SPI %x, want %x", c.name, spi, c.spi)
		}
		if got := passes(t, "10.0.0.2", "10.0.0.1", c.b); got != c.passes {
			t.Errorf("%s: passes %v", c.name, got)
		}
	}
	for _, port := range []uint16{0, 4500} {
		b := packet("fd00::2", "fd00::1", port, 0x1234)
		if spi, _, _ := parse(b); spi != 0x1234 || !passes(t, "fd00::2", "fd00::1", b) || passes(t, "fd00::3", "fd00::1", b) {
			t.Errorf("IPv6, port %d: SPI %x", port, spi)
		}
	}
}

func passes(t *testing.T, remote, local string, b []byte) bool {
	t.Helper()
	raw, err := filter(netip.MustParseAddr(remote), netip.MustParseAddr(local), []uint32{0x7777, 0x9999})
	if err != nil {
		t.Fatal(err)
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter does not disassemble")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(b)
	return err == nil && n > 0
}

func FuzzParse(f *testing.F) {
	f.Add(packet("10.0.0.2", "10.0.0.1", 4500, 1))
	f.Add(packet("fd00::2", "fd00::1", 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if spi, payload, udp := parse(b); spi != 0 && udp {
			checksum(b, payload)
		}
	})
}

// What comes early is handed over: here to a UDP socket, which stands for the
// kernel's ESP.
func TestCatch(t *testing.T) {
	probetest.Need(t, probe.NetNS)
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if out, err := ns.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	for _, c := range []struct{ remote, local string }{{"127.0.0.2", "127.0.0.1"}, {"::1", "::1"}} {
		remote, local := netip.MustParseAddr(c.remote), netip.MustParseAddr(c.local)
		var in, out *net.UDPConn
		if err := ns.Do(func() (err error) {
			if in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 4500))); err == nil {
				out, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 4500)))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		defer out.Close()
		catch, err := Open(ns, "lo", remote, local, []uint32{0x9999})
		if err != nil {
			t.Fatal(err)
		}
		send := func(spi uint32, text string) []byte {
			b := append(binary.BigEndian.AppendUint32(nil, spi), text...)
			if _, err := out.Write(b); err != nil {
				t.Fatal(err)
			}
			return b
		}
		want := [][]byte{send(0x1234, "one"), send(0x9999, "known"), send(0x5678, "other"), send(0x1234, "two")}
		read := func() []byte {
			b := make([]byte, 100)
			in.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := in.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			return b[:n]
		}
		for _, w := range want {
			if got := read(); !bytes.Equal(got, w) {
				t.Errorf("%q, want %q", got, w)
			}
		}
		// The packets are in the catch's socket: nobody need have read them yet.
		if n, err := catch.Release([]uint32{0x1234}, nil); n != 2 || err != nil {
			t.Errorf("%d are handed over, %v", n, err)
		}
		for _, w := range [][]byte{want[0], want[3]} {
			if got := read(); !bytes.Equal(got, w) {
				t.Errorf("again: %q, want %q", got, w)
			}
		}
		if err := catch.Close(); err != nil {
			t.Error(err)
		}
		if n, err := (*Catch)(nil).Release(nil, nil); n != 0 || err != nil {
			t.Errorf("of none: %d, %v", n, err)
		}
	}
}

// What the machine has had meanwhile is not handed over again.
func TestReleaseOnce(t *testing.T) {
	numbered := func(sequence uint32) []byte {
		b := make([]byte, 20+8)
		b[0], b[9] = 4<<4|5, protoESP
		binary.BigEndian.PutUint32(b[20:], 0x1234)
		binary.BigEndian.PutUint32(b[24:], sequence)
		return b
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	c := &Catch{local: netip.MustParseAddr("127.0.0.1"), in: in, out: int(out.Fd()), kept: map[uint32][][]byte{0x1234: {numbered(7), numbered(8), numbered(9)}}}
	var asked []uint32
	n, err := c.Release([]uint32{0x1234}, func(spi, sequence uint32) bool {
		asked = append(asked, spi, sequence)
		return sequence != 8
	})
	// It is sent to what is no socket, so that it is tried and fails.
	if n != 1 || !errors.Is(err, unix.ENOTSOCK) || !slices.Equal(asked, []uint32{0x1234, 7, 0x1234, 8, 0x1234, 9}) {
		t.Errorf("%d are handed over, %v; asked for %x", n, err, asked)
	}
}
