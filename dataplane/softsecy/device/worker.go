package device

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/dataplane/softsecy/gso"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/linux/tap"
)

const (
	// batch is how many frames are received, or at least queued, before they
	// are handed on: enough for a packet of 64 KiB.
	batch = 64
	// drain is how many packets are read from the tap in a step, if they make
	// no frames.
	drain = 256
	// stuck is how long a frame waits for the port to take it before it is
	// dropped: the port is down, or its queue stands.
	stuck = 100 * time.Millisecond
	// pause is the wait after what poll cannot wait for.
	pause = 10 * time.Millisecond
	// moderate is how long a goroutine that was busy rests before it looks
	// again, in place of a poll: who waits in poll is woken for each frame,
	// which costs the sender more than to send it. Busy is who moved so many
	// frames since the last rest, a lone frame is never held back; and who is
	// busy and moves but few at a time rests too.
	moderate = 100 * time.Microsecond
	busy     = 8
	few      = 24
	// again is the wait before what the port did not take is sent again, if
	// nothing else is to be sent meanwhile.
	again   = time.Millisecond
	forever = -time.Millisecond // poll(2)
)

// worker moves frames both ways, each in a goroutine that shares nothing with
// the other.
type worker struct {
	d   *Device
	tap *tap.Queue
	in  []socket // it receives from these
	out socket   // and transmits to this
	tx  *softsecy.Transmitter
	rx  *softsecy.Receiver
}

func newWorker(d *Device, q *tap.Queue, mine []socket) *worker {
	return &worker{d: d, tap: q, in: mine, out: mine[0], tx: d.NewTransmitter(), rx: d.NewReceiver()}
}

// wait waits until one of the descriptors is ready, or it is time to stop, and
// for d at the most; forever: no bound.
func (w *worker) wait(fds []unix.PollFd, d time.Duration) {
	n, err := unix.Poll(fds, int(d/time.Millisecond))
	if err != nil || n <= 0 {
		return
	}
	for _, f := range fds {
		if f.Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			// The device is down or gone, which is not ours to mend: the
			// reconciler closes what has no device.
			unix.Poll(fds[:1], int(pause.Milliseconds()))
			return
		}
	}
}

// onThread gives the goroutine its thread, whose short sleeps are as short as
// asked.
func onThread() {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
}

// rest is for a goroutine that found little to do and is so busy: the frames
// that it moved since it last rested, and half as busy as it was then. It
// returns how busy it is now.
func (w *worker) rest(load int, fds []unix.PollFd, pending bool) int {
	if load >= busy {
		// So short that the scheduler need not know of it: it would look for
		// other work for the processor, over and over.
		ts := unix.Timespec{Nsec: int64(moderate)}
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		return load / 2
	}
	most := forever
	if pending {
		most = again
	}
	w.wait(fds, most)
	return load / 2
}

// pollFds are the descriptors to wait for, the one that says stop first.
func (w *worker) pollFds(fds ...int) []unix.PollFd {
	p := []unix.PollFd{{Fd: int32(w.d.wake), Events: unix.POLLIN}}
	for _, fd := range fds {
		p = append(p, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return p
}

// start starts the goroutines, one for each way.
func (w *worker) start() {
	t := &transmission{worker: w, packet: make([]byte, tap.MaxPacket)}
	w.d.running.Go(func() {
		w.loop(w.pollFds(w.tap.FD()), func() bool { return len(t.order) > 0 }, t.step)
		t.settle()
	})

	r := &reception{worker: w, join: gso.NewCoalescer(gso.CoalescerOptions{UDP: w.tap.USO(), Frames: batch})}
	var fds []int
	for _, s := range w.in {
		fds = append(fds, s.FD())
	}
	w.d.running.Go(func() { w.loop(w.pollFds(fds...), func() bool { return false }, r.step) })
}

// loop is one way: it takes steps, which tell how many frames they moved, until
// it is time to stop. pending tells of frames that the port has not taken yet.
func (w *worker) loop(fds []unix.PollFd, pending func() bool, step func() int) {
	onThread()
	load := 0
	for !w.d.stop.Load() {
		moved := step()
		// Who moves few frames at a time chases the other side, and joins few.
		if load += moved; moved == 0 || moved < few && load >= busy {
			load = w.rest(load, fds, pending())
		}
	}
}

type transmission struct {
	*worker
	packet []byte
	split  gso.Splitter
	queued int       // since the last send
	order  []sending // what the port had not taken when it was last looked at
}

// step moves what the tap has.
func (t *transmission) step() (moved int) {
	if n := t.read(); n > 0 {
		// The cipher's registers would be in the frame of the next signal, and
		// stay there. Once a batch: for each frame it would cost too much.
		erase.Do(func() {
			for i := 1; n > 0; i++ {
				t.cut(t.packet[:n])
				if t.queued >= batch || i == drain {
					break
				}
				n = t.read()
			}
		})
	}
	moved = t.queued
	t.send()
	return moved
}

// read takes a packet from the tap, of so many octets; 0: there is none.
func (t *transmission) read() int {
	n, err := t.tap.Read(t.packet)
	if err != nil {
		return 0
	}
	return n
}

// cut makes frames of one packet and queues them.
func (t *transmission) cut(packet []byte) {
	if len(packet) < gso.HeaderLen {
		return
	}
	var h gso.Header
	h.Decode(packet)
	if t.split.Begin(h, packet[gso.HeaderLen:]) != nil {
		t.tx.Drop()
		return
	}
	for {
		buf := t.room()
		if buf == nil {
			t.tx.Drop()
			return
		}
		n, err := t.split.Next(buf, softsecy.Headroom)
		if err != nil {
			t.tx.TooLong()
			return
		}
		if n == 0 {
			return
		}
		mpdu, ok := t.tx.Protect(buf[:n+softsecy.Headroom])
		if !ok {
			continue
		}
		t.out.Queue(cap(buf)-cap(mpdu), len(mpdu))
		t.queued++
		t.order = append(t.order, sendingOf(mpdu))
	}
}

// room is the next buffer of the port; nil if it takes none for long.
func (t *transmission) room() []byte {
	buf := t.out.Buffer()
	if buf != nil {
		return buf
	}
	for waited := time.Duration(0); waited < stuck && !t.d.stop.Load(); waited += pause {
		t.send()
		if buf = t.out.Buffer(); buf != nil {
			return buf
		}
		if t.out.WaitSend(pause) != nil {
			break
		}
	}
	return nil
}

// send hands what is queued to the port.
func (t *transmission) send() {
	if t.queued > 0 || t.out.Pending() {
		// What it says of the device the reconciler sees too.
		_ = t.out.Send()
	}
	t.settle()
	t.queued = 0
	t.tx.Flush()
}

// settle has counted what the port has taken: what it has not may never leave.
func (t *transmission) settle() {
	sent, rest := settled(t.order, t.out.Left())
	t.order = rest
	for _, b := range sent {
		if b.Packets > 0 {
			t.d.ports.sent(b)
		}
	}
}

type reception struct {
	*worker
	frames [batch]([]byte)
	join   *gso.Coalescer
}

// step moves a batch of each socket.
func (r *reception) step() (moved int) {
	for _, s := range r.in {
		moved += r.take(s)
	}
	return moved
}

// take moves a batch from s and returns how many frames it was.
func (r *reception) take(s socket) int {
	n := s.Receive(r.frames[:])
	if n == 0 {
		return 0
	}
	erase.Do(func() { // as in transmission.step
		for _, f := range r.frames[:n] {
			if out, ok := r.rx.Validate(f); ok {
				r.join.Add(out)
			}
		}
	})
	for _, packet := range r.join.Packets() {
		// What the host has no room for it counts itself.
		_, _ = r.tap.Write(packet)
	}
	r.join.Reset()
	s.Release()
	r.rx.Flush()
	return n
}
