package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// truth is what was counted, or is to be, by the name of what counts it.
type truth map[string]Counter

func (t truth) add(name string, c Counter) {
	if c.Packets > 0 {
		t[name] = Counter{t[name].Packets + c.Packets, t[name].Octets + c.Octets}
	}
}

func (t truth) verdicts(d Direction, v Verdicts) {
	for i := range portVerdictVERDICTS {
		t.add(verdictName(d, i), v.of(i))
	}
}

func verdictName(d Direction, v portVerdict) string { return fmt.Sprintf("%s: verdict %d", d, v) }

func circuitName(direction string, s, c uint16) string {
	return fmt.Sprintf("%s: circuit %d.%d", direction, s, c)
}

// circuitOf is where a frame with up to two tags is counted.
func circuitOf(d Direction, frame []byte) string {
	var vids []uint16
	at := 12
	for ; len(vids) < 2 && modelTag(binary.BigEndian.Uint16(frame[at:])); at += 4 {
		vids = append(vids, binary.BigEndian.Uint16(frame[at+2:])&0xfff)
	}
	switch {
	case len(vids) == 2:
		return circuitName(d.String(), vids[0], vids[1])
	case len(vids) == 1 && binary.BigEndian.Uint16(frame[12:]) == 0x8100:
		return circuitName(d.String(), 0, vids[0])
	case len(vids) == 1:
		return circuitName(d.String(), vids[0], 0)
	}
	return circuitName(d.String(), 0, 0)
}

// shot is a frame that is sent again and again, and the names of all that is to
// count it.
type shot struct {
	frame []byte
	by    []string
	pn    *atomic.Uint32 // the last that was sent; nil: it has none
	at    int            // where in the frame the PN is
}

const (
	volley  = 64 // frames that a system call sends
	volleys = 50 // of each sender, at least
)

// sender sends shots, of which it chooses, and keeps the truth of them.
type sender struct {
	fd       int
	frames   [volley][]byte
	iov      [volley]unix.Iovec
	messages [volley]struct { // struct mmsghdr
		header unix.Msghdr
		_      [8]byte
	}
	sent    truth
	volleys atomic.Int32
}

func (w *testWire) sends(t *testing.T, l netlink.Link) *sender {
	t.Helper()
	s := &sender{sent: truth{}}
	w.do(t, func() (err error) {
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(s.fd) })
		// There is always room, or a frame could fail before it is sent.
		return errors.Join(unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20),
			unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}))
	})
	return s
}

// fire sends a volley. That the other side of a hook drops a frame is told as
// ENOBUFS, or, if it is not the call's first, by the call's end before it.
func (s *sender) fire(shots []shot, drops bool) error {
	for i := range volley {
		x := shots[rand.IntN(len(shots))]
		s.frames[i] = append(s.frames[i][:0], x.frame...)
		if x.pn != nil {
			binary.BigEndian.PutUint32(s.frames[i][x.at:], x.pn.Add(1))
		}
		s.iov[i].Base = &s.frames[i][0]
		s.iov[i].SetLen(len(x.frame))
		h := &s.messages[i].header
		h.Iov = &s.iov[i]
		h.SetIovlen(1)
		for _, name := range x.by {
			s.sent.add(name, Counter{1, uint64(len(x.frame))})
		}
	}
	for done := 0; done < volley; {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&s.messages[done])), uintptr(volley-done), 0, 0, 0)
		if e != 0 && e != unix.ENOBUFS {
			return fmt.Errorf("sendmmsg: %w", e)
		}
		if e == 0 {
			done += int(n)
		}
		if done < volley {
			if !drops {
				return errors.New("a frame is lost on the way to the port")
			}
			done++
		}
	}
	s.volleys.Add(1)
	return nil
}

// barrage sends shots into the port and out of it, from two CPUs each, while it
// calls meanwhile, four times at least. seen counts what has come in. No more is on the way than a
// veth's ring takes, and when barrage returns nothing is.
func (w *testWire) barrage(t *testing.T, shots [directions][]shot, seen func() (uint64, error), meanwhile func()) truth {
	t.Helper()
	lasts, rest := 100*time.Millisecond, time.Millisecond // after a volley: others need the processors too
	if soaking() {
		lasts, rest = 20*time.Second, 0
	}
	start, err := seen()
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var came atomic.Uint64
	var all sync.WaitGroup
	var senders []*sender
	for i := range 2 * directions {
		d := Direction(i % directions)
		s, do := w.sends(t, []netlink.Link{w.peer, w.port}[d]), onCPU(t, i/directions)
		senders = append(senders, s)
		work := func() error {
			for ; !stop.Load(); time.Sleep(rest) {
				if err := s.fire(shots[d], d == Egress); err != nil || d == Egress {
					if err != nil {
						return err
					}
					continue
				}
				sent := came.Add(volley)
				for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
					n, err := seen()
					if err != nil {
						return err
					}
					if n-start >= sent {
						break
					}
					if time.Now().After(deadline) {
						return fmt.Errorf("%d frames were sent, %d came", sent, n-start)
					}
				}
			}
			return nil
		}
		all.Go(func() {
			do(func() {
				if err := work(); err != nil {
					t.Errorf("%s: %v", d, err)
				}
			})
		})
	}
	few := func(s *sender) bool { return s.volleys.Load() < volleys }
	for i, end := 0, time.Now().Add(lasts); (i < 4 || time.Now().Before(end) || slices.ContainsFunc(senders, few)) && !t.Failed(); i++ {
		meanwhile()
	}
	stop.Store(true)
	all.Wait()
	sum := truth{}
	for _, s := range senders {
		for name, c := range s.sent {
			sum.add(name, c)
		}
	}
	return sum
}
