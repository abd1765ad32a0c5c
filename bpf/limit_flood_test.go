package bpf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
)

// Where an MKPDU in a frame of hello's has them.
const (
	sourceAt = 6
	miAt     = 14 + 16
)

var live = []Member{{CKN: []byte{7}, Peers: []Peer{{heard, [12]byte{1}}}}, {CKN: []byte{8}}}

// floods are those of whoever knows our CKNs and addresses, which are in clear,
// and what each would shut out.
var floods = []struct {
	name    string
	flood   func(f []byte, n uint64) // makes it the n-th of the flood
	frame   []byte
	genuine func(start int) []byte // the hello of a peer that has started so often
}{
	{"a new peer, under random addresses", randomAddress, hello(other, 3, []byte{7}), func(n int) []byte {
		return started(hello([6]byte{2, 1, 0, 0, 0, byte(n)}, 0, []byte{7}), n)
	}},
	{"a peer that restarted, under its address and random MIs", randomMI, hello(heard, 3, []byte{7}), func(n int) []byte {
		return started(hello(heard, 0, []byte{7}), n)
	}},
	{"a live peer under its next CKN, under random addresses", randomAddress, hello(other, 3, []byte{8}), func(int) []byte {
		return started(hello(heard, 0, []byte{8}), 0)
	}},
	{"a live peer under its next CKN, under its address and random MIs", randomMI, hello(heard, 3, []byte{8}), func(int) []byte {
		return started(hello(heard, 0, []byte{8}), 0)
	}},
}

func randomAddress(f []byte, n uint64) { binary.BigEndian.PutUint32(f[sourceAt+1:], uint32(mixed(n))) }

func randomMI(f []byte, n uint64) { binary.BigEndian.PutUint64(f[miAt:], mixed(n)) }

// started gives a hello the MI of that start.
func started(f []byte, n int) []byte {
	binary.BigEndian.PutUint64(f[miAt:], mixed(uint64(n)+1<<40))
	return f
}

// mixed is another number for each (splitmix64's).
func mixed(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// A flood of up to 2000 a second, of whoever knows all but the CAK, displaces no
// genuine hello: not of a new peer, of one that starts each second, nor of one
// that rotates.
func TestGenuineUnderFlood(t *testing.T) {
	var all sync.WaitGroup
	for _, kind := range floods {
		for _, perSecond := range []int{40, 200, 2000} {
			in := limited(t)
			all.Go(func() {
				frame := append([]byte{}, kind.frame...)
				start, tick := time.Now(), time.NewTicker(time.Millisecond)
				defer tick.Stop()
				sent, late, tries, passed, due := 0, 0, 0, 0, 500*time.Millisecond
				at := time.Duration(0)
				for ; at < 3*time.Second || (tries < 5 || sent-late < 2*perSecond) && at < time.Minute; at = time.Since(start) {
					// What could not be sent in its time is left out: made up for, it were more a second.
					if behind := int((at-50*time.Millisecond).Seconds()*float64(perSecond)) - sent; behind > 0 {
						sent, late = sent+behind, late+behind
					}
					for ; float64(sent) < at.Seconds()*float64(perSecond); sent++ {
						kind.flood(frame, uint64(sent))
						in(frame)
					}
					if at >= due {
						due = at + time.Duration(30+rand.IntN(140))*time.Millisecond
						tries++
						if in(kind.genuine(int(at / time.Second))) {
							passed++
						}
					}
					<-tick.C
				}
				if passed != tries || tries < 5 || sent-late < 2*perSecond {
					t.Errorf("%s, %d in %v of %d a second: %d of %d genuine hellos passed", kind.name, sent-late, at, perSecond, passed, tries)
				}
			})
		}
	}
	all.Wait()
}

// Past all budgets a live peer's hellos pass, of whatever rate the flood is, or
// as fast as this machine runs it; how many hellos a new peer then needs is
// printed.
func TestLiveUnderFlood(t *testing.T) {
	for _, perSecond := range []int{100_000, 1_000_000} {
		in := limited(t)
		frame := append([]byte{}, floods[0].frame...)
		known := hello(heard, 0, []byte{7})
		copy(known[miAt:], []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		start, tick := time.Now(), time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sent, tries, passed, fresh, needed := 0, 0, 0, 0, 0
		for time.Since(start) < 2*time.Second || tries < 20 {
			for n := 0; n < 1000 && float64(sent) < time.Since(start).Seconds()*float64(perSecond); n++ {
				randomAddress(frame, uint64(sent))
				in(frame)
				sent++
			}
			tries++
			if in(known) {
				passed++
			}
			if time.Since(start) > time.Second { // the bursts are spent
				fresh++
				if in(floods[0].genuine(fresh)) {
					needed++
				}
			}
			<-tick.C
		}
		if passed != tries {
			t.Errorf("%d a second: %d of %d hellos of a live peer passed", perSecond, passed, tries)
		}
		fmt.Printf("figure: EAPOL flood under our CKN, %.0f of %d a second reached: %d of %d hellos of a live peer pass; of new ones %d of %d\n",
			float64(sent)/time.Since(start).Seconds(), perSecond, passed, tries, needed, fresh)
	}
}

// limited runs a frame through a filter that knows live, and tells whether it
// passed.
func limited(t *testing.T) func(frame []byte) bool {
	p := loaded(t, plain)
	if err := limitOf(p).Set(live); err != nil {
		t.Fatal(err)
	}
	return func(frame []byte) bool {
		got, err := p.in.Run(&ebpf.RunOptions{Data: frame, Repeat: 1})
		if err != nil {
			t.Error(err)
		}
		return got == xdpPass
	}
}
