package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/lab"
)

// clearPort is where the host behind west listens for what must not arrive.
const clearPort = 9009

// TestClear sends clear frames from west's port and at it, the while that its
// daemon runs, is killed, is down and starts again. None passes: not to the
// attacker on the same bridge, who has no filter, and not to a listener at
// west, by packet socket or UDP.
func TestClear(t *testing.T) {
	p := newPair(t, lab.Options{Names: []string{"mallory"}, IPv6: true}, lab.Port{})
	mallory := p.Appliances[2]
	p.start(t)

	var mu sync.Mutex
	out, in := 0, 0
	var lastOut, lastIn []byte
	outside, err := lab.Listen(mallory, lab.Device, func(f lab.Frame) {
		if f.Outgoing || f.EtherType() == 0x88e5 || f.EtherType() == 0x888e {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		out++
		lastOut = append(lastOut[:0], f.Octets...)
	})
	check(t, err)
	defer outside.Close()
	inside, err := lab.Listen(p.west, lab.Device, func(f lab.Frame) {
		if f.Outgoing || f.EtherType() == 0x88e5 || f.EtherType() == 0x888e {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		in++
		lastIn = append(lastIn[:0], f.Octets...)
	})
	check(t, err)
	defer inside.Close()
	var listener *net.UDPConn
	check(t, p.west.NS.Do(func() (err error) {
		listener, err = net.ListenUDP("udp4", &net.UDPAddr{Port: clearPort})
		return err
	}))
	defer listener.Close()
	datagrams := make(chan int, 1)
	go func() {
		n := 0
		for buf := make([]byte, 2048); ; n++ {
			if _, _, err := listener.ReadFromUDP(buf); err != nil {
				datagrams <- n
				return
			}
		}
	}()

	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	defer func() { cancel(); sending.Wait() }()
	counts := [2]int{}
	for i, x := range []struct {
		from   *lab.Appliance
		frames [][]byte
	}{
		{p.west, clearFrames(p.west, mallory)},
		{mallory, clearFrames(mallory, p.west)},
	} {
		s, err := lab.OpenSender(x.from, lab.Device, false)
		check(t, err)
		defer s.Close()
		sending.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				if s.Send(x.frames[n%len(x.frames)]) == nil {
					mu.Lock()
					counts[i]++
					mu.Unlock()
				}
			}
		})
	}
	more := func(phase string, n int) {
		t.Helper()
		mu.Lock()
		from := counts
		mu.Unlock()
		eventually(t, "clear frames, "+phase, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return counts[0] >= from[0]+n && counts[1] >= from[1]+n
		})
	}
	more("daemon up", 300)
	for range times(5, 1) {
		check(t, p.west.Kill())
		more("daemon killed", 300)
		check(t, p.west.Start())
		more("daemon starting", 300)
		p.settled(t, p.key.CKN)
	}
	check(t, p.west.Stop(t.Context()))
	more("daemon stopped", 100)
	check(t, p.west.Start())
	p.settled(t, p.key.CKN)
	cancel()
	sending.Wait()
	carries(t, p.west, p.east) // what was sent before it has arrived or never will
	listener.Close()
	mu.Lock()
	defer mu.Unlock()
	if out > 0 {
		t.Errorf("%d frames left west in clear; the last %x", out, lastOut)
	}
	if n := <-datagrams; in > 0 || n > 0 {
		t.Errorf("%d frames and %d datagrams in clear came in at west; the last %x", in, n, lastIn)
	}
	f := p.settled(t, p.key.CKN)[0].Filter
	// Of what was sent to the port one kind in ten does not get there, LLDP,
	// which a bridge keeps to itself. A few more were on their way when the
	// sender stopped.
	t.Logf("filter %v; sent %v", f, counts)
	if f["egress_dropped_packets"]+f["egress_tagged_packets"] < uint64(counts[0]) || f["ingress_dropped_packets"]+f["ingress_tagged_packets"] < uint64(counts[1])*9/10-10 {
		t.Errorf("the filter counts %v; sent were %v", f, counts)
	}
	figure(t, "clear frames with the daemon up, killed, restarting: %d sent at the parent, %d passed; %d sent to it, %d received", counts[0], out, counts[1], in)
}

// clearFrames are what a careless or hostile station sends.
func clearFrames(from, to *lab.Appliance) [][]byte {
	all := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	udp := udp4(from.Address.Addr().As4(), to.Address.Addr().As4(), clearPort)
	tagged := append([]byte{0, 5, 0x81, 0, 0, 6, 0x08, 0}, udp...)
	return [][]byte{
		lab.EtherFrame(to.MAC, from.MAC, experiment, make([]byte, 46)),
		lab.EtherFrame(all, from.MAC, experiment, make([]byte, 1400)),
		lab.EtherFrame(to.MAC, from.MAC, 0x0800, udp),
		lab.EtherFrame(all, from.MAC, 0x0806, make([]byte, 46)),
		lab.EtherFrame(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, from.MAC, 0x86dd, make([]byte, 60)),
		lab.EtherFrame(to.MAC, from.MAC, 0x8100, tagged),
		lab.EtherFrame(to.MAC, from.MAC, 0x88a8, append([]byte{0, 5, 0x08, 0}, udp...)),
		lab.EtherFrame(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x0e}, from.MAC, 0x88cc, make([]byte, 46)), // LLDP, not allowed
		lab.EtherFrame(net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0x03}, from.MAC, 0x888f, make([]byte, 46)),
		lab.EtherFrame(to.MAC, from.MAC, 40, make([]byte, 46)), // 802.3 length
	}
}

// udp4 is an IPv4 packet with a datagram without checksum.
func udp4(from, to [4]byte, port uint16) []byte {
	b := make([]byte, 46)
	b[0], b[3], b[8], b[9] = 0x45, 46, 64, 17
	copy(b[12:], from[:])
	copy(b[16:], to[:])
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(b[20:], port)
	binary.BigEndian.PutUint16(b[22:], port)
	b[25] = 26
	return b
}

// TestQdiscBypass shows what tc cannot stop, and that doctor says so: a frame
// from a packet socket that had PACKET_QDISC_BYPASS before the port was
// guarded. One that asks for it later is refused. It also shows that the attacker
// of TestClear would have seen what passes.
func TestQdiscBypass(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{Names: []string{"mallory"}}, lab.Port{})
	mallory := p.Appliances[2]
	s, err := lab.OpenSender(p.west, lab.Device, true)
	check(t, err)
	defer s.Close()
	p.start(t)
	passed := make(chan struct{}, 1)
	tap, err := lab.Listen(mallory, lab.Device, func(f lab.Frame) {
		if f.EtherType() == experiment {
			select {
			case passed <- struct{}{}:
			default:
			}
		}
	})
	check(t, err)
	defer tap.Close()
	check(t, s.Send(clearFrames(p.west, mallory)[1]))
	select {
	case <-passed:
	case <-time.After(patience):
		t.Error("the frame did not pass: say so in doctor, and close the issue that it does")
	}
	out, errs, _, err := p.west.Verb(t.Context(), "doctor", "--config", p.west.ConfigFile())
	check(t, err)
	if !strings.Contains(out, "PACKET_QDISC_BYPASS") {
		t.Errorf("doctor does not name it:\n%s%s", out, errs)
	}
	// The port that is attacked this way stays what it is.
	wait(t, "the port to be secured", secured, p.west)
	if late, err := lab.OpenSender(p.west, lab.Device, true); !errors.Is(err, unix.EPERM) {
		t.Errorf("a socket of a guarded port got PACKET_QDISC_BYPASS: %v", err)
		if err == nil {
			late.Close()
		}
	}
	st, err := p.west.Status(t.Context())
	check(t, err)
	if e := st.Enforcement; e == nil || !e.Guard || e.Refused["bypass"] != 1 {
		t.Errorf("enforcement: %+v; want a guard that has refused one", e)
	}
	figure(t, "PACKET_QDISC_BYPASS passes tc: 1 of 1 frames of a socket that was before the guard; refused: 1 of 1 after; %s", st.Enforcement)
}

// In should-secure a port carries clear traffic while no peer is there, and
// says so; once secured, nothing in clear until the peer's life has expired.
func TestShould(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{Extra: []string{"secure: should"}, MKA: "hello: 1s, life: 4s"})
	check(t, p.west.Start())
	wait(t, "west to pass clear traffic", func(s status.Port) bool {
		return s.State == status.Unsecured && s.Passing == "clear" && s.UnsecuredReason != ""
	}, p.west)
	nothingToPlan(t, p.west)
	check(t, p.east.Start())
	p.settled(t, p.key.CKN)
	wait(t, "both ends to pass nothing in clear", func(s status.Port) bool { return s.Passing == "protected" }, p.both()...)
	nothingToPlan(t, p.both()...)
	carries(t, p.west, p.east)
	// What somebody else opens does not stay open.
	if out, err := p.west.NS.Command("ip", "link", "set", lab.Interface, "type", "macsec", "protect", "off").CombinedOutput(); err != nil {
		t.Fatalf("ip: %v: %s", err, out)
	}
	eventually(t, "protection to be on again", func() bool {
		out, err := p.west.NS.Command("ip", "-d", "link", "show", lab.Interface).CombinedOutput()
		check(t, err)
		return strings.Contains(string(out), "protect on")
	})

	// Only what the MACsec device sends: the parent of a should-secure port
	// is open, so IPv6 on it is the host's own business.
	var mu sync.Mutex
	var clear, expired time.Time
	tap, err := lab.Listen(p.west, lab.Device, func(f lab.Frame) {
		if f.Outgoing && f.EtherType() == 0x0800 {
			mu.Lock()
			defer mu.Unlock()
			if clear.IsZero() {
				clear = f.At
			}
		}
	})
	check(t, err)
	defer tap.Close()
	x := traffic(t, p.west, p.east, 5*time.Millisecond)
	flows(t, x, 50)
	check(t, p.east.Kill())
	killed := time.Now()
	wait(t, "west to let the peer go", func(s status.Port) bool { return s.Passing == "clear" }, p.west)
	expired = time.Now()
	eventually(t, "clear traffic", func() bool { mu.Lock(); defer mu.Unlock(); return !clear.IsZero() })
	// The peer's last hello was at most one hello time before it was killed.
	if early := clear.Sub(killed); early < 3*time.Second {
		t.Errorf("clear traffic %v after the peer was killed, before its life expired", early)
	}
	nothingToPlan(t, p.west)
	figure(t, "should-secure: the first clear frame %v after the peer was killed, with a life of 4 s; told in status by %v", clear.Sub(killed).Round(10*time.Millisecond), expired.Sub(killed).Round(10*time.Millisecond))
}
