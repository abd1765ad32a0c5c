package ipsec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay/overlaytest"
	"github.com/linkseal/linkseal/linux/netns"
)

// flow is datagrams with numbers from one end to the other, at a steady rate.
type flow struct {
	t         *testing.T
	in, out   *net.UDPConn
	quit      chan struct{}
	wg, sends sync.WaitGroup
	sent      atomic.Uint64
	mu        sync.Mutex
	got       map[uint64]bool
	twice     int
}

// flood starts a flow from one address to another, each in its namespace.
func flood(t *testing.T, from *netns.NS, src string, to *netns.NS, dst string, every time.Duration, octets ...int) *flow {
	t.Helper()
	size := 200
	if len(octets) > 0 {
		size = octets[0]
	}
	f := &flow{t: t, quit: make(chan struct{}), got: map[uint64]bool{}}
	port := 9000
	err := to.Do(func() (err error) {
		f.in, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(dst), Port: port})
		return err
	})
	if err == nil {
		err = from.Do(func() (err error) {
			f.out, err = net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(src)}, &net.UDPAddr{IP: net.ParseIP(dst), Port: port})
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	// A reader that has to wait for a processor loses nothing of it.
	if raw, err := f.in.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) })
	}
	f.wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, err := f.in.Read(b)
			if err != nil {
				return
			}
			if n < 8 {
				continue
			}
			f.mu.Lock()
			number := binary.BigEndian.Uint64(b)
			if f.got[number] {
				f.twice++
			}
			f.got[number] = true
			f.mu.Unlock()
		}
	})
	f.sends.Go(func() {
		b := make([]byte, size)
		tick := time.NewTicker(every)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-f.quit:
				return
			case <-tick.C:
			}
			// A tick that is late stands for those that are left out, up to a few.
			due := min(int(time.Since(last)/every), 32)
			last = time.Now().Add(-time.Since(last) % every)
			for range due {
				binary.BigEndian.PutUint64(b, f.sent.Load())
				if _, err := f.out.Write(b); err != nil {
					break // refused or unreachable: not sent
				}
				f.sent.Add(1)
			}
		}
	})
	t.Cleanup(f.close)
	return f
}

// end stops the flow and returns how many were sent and which did not come.
func (f *flow) end() (sent uint64, lost []uint64) {
	f.quiet()
	overlaytest.Drain(f.sent.Load(), func() uint64 {
		f.mu.Lock()
		defer f.mu.Unlock()
		return uint64(len(f.got))
	})
	f.close()
	for n := range f.sent.Load() {
		if !f.got[n] {
			lost = append(lost, n)
		}
	}
	return f.sent.Load(), lost
}

// quiet sends no more.
func (f *flow) quiet() {
	select {
	case <-f.quit:
	default:
		close(f.quit)
	}
	f.sends.Wait()
}

func (f *flow) close() {
	f.quiet()
	f.in.Close()
	f.out.Close()
	f.wg.Wait()
}

// both floods both ways through the tunnel, whose interfaces are given.
func (w *wire) both(every time.Duration, ours, stock string, octets ...int) [2]*flow {
	w.t.Helper()
	w.run(w.ours, "ip", "route", "replace", peerInner+"/32", "dev", ours, "src", ourInner)
	w.run(w.stock, "ip", "route", "replace", ourInner+"/32", "dev", stock, "src", peerInner)
	return [2]*flow{
		flood(w.t, w.ours, ourInner, w.stock, peerInner, every, octets...),
		flood(w.t, w.stock, peerInner, w.ours, ourInner, every, octets...),
	}
}

// lostNone ends both flows, of which nothing may be lost.
func lostNone(t *testing.T, flows [2]*flow) {
	t.Helper()
	for i, f := range flows {
		way := [...]string{"from us", "to us"}[i]
		sent, lost := f.end()
		t.Logf("%s: %d sent, %d lost, %d twice", way, sent, len(lost), f.twice)
		if len(lost) > 0 || sent == 0 {
			t.Errorf("%s: of %d datagrams %d are lost: %s", way, sent, len(lost), runs(lost))
		}
	}
}

// runs writes numbers in order as runs, the first and how many: 4+6 17+1.
func runs(all []uint64) string {
	var b strings.Builder
	for i := 0; i < len(all); {
		from := i
		for i++; i < len(all) && all[i] == all[i-1]+1; i++ {
		}
		fmt.Fprintf(&b, "%d+%d ", all[from], i-from)
		if b.Len() > 500 {
			return b.String() + "…"
		}
	}
	return b.String()
}

// clear counts, from now on, what passes on the underlay in clear of what is
// between the inner addresses.
func (w *wire) clear() (count func() uint64) {
	w.t.Helper()
	var fd int
	err := w.stock.Do(func() error {
		i, err := net.InterfaceByName("eth1")
		if err != nil {
			return err
		}
		const proto = unix.ETH_P_IP
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto>>8 | proto&0xff<<8, Ifindex: i.Index})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var n, all atomic.Uint64
	var done sync.WaitGroup
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	quit := make(chan struct{})
	done.Go(func() {
		defer unix.Close(fd)
		b := make([]byte, 64)
		inner := [2][]byte{net.ParseIP(ourInner).To4(), net.ParseIP(peerInner).To4()}
		for {
			got, err := unix.Read(fd, b)
			select {
			case <-quit:
				return
			default:
			}
			if err != nil || got < 20 {
				continue
			}
			all.Add(1)
			for _, a := range inner {
				if bytes.Equal(b[12:16], a) || bytes.Equal(b[16:20], a) {
					n.Add(1)
					break
				}
			}
		}
	})
	w.t.Cleanup(func() {
		close(quit)
		done.Wait()
		if all.Load() == 0 && !w.t.Failed() {
			w.t.Error("nothing at all was seen on the underlay")
		}
	})
	return n.Load
}
