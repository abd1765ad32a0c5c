package userspace

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

// TestMemory watches what the daemons have in memory under load: it does not
// grow from its first third to its last.
func TestMemory(t *testing.T) {
	t.Parallel()
	p := newPair(t, lab.Options{}, lab.Port{MKA: "hello: 1s, life: 3s, rekey: 3s"})
	p.start(t)
	s := startStream(t, p.west, p.east)
	d := sendDatagrams(t, inside(p.east), inside(p.west), 200)
	d.flow(t, int(times(30*time.Second, 2*time.Second).Seconds()*200)) // rings are touched, pools are filled
	length := times(10*time.Minute, 10*time.Second)
	var resident, anonymous [2][]int64
	tick := time.NewTicker(length / 120)
	defer tick.Stop()
	for range 120 {
		<-tick.C
		for i, a := range p.both() {
			resident[i] = append(resident[i], held(t, a, "VmRSS"))
			anonymous[i] = append(anonymous[i], held(t, a, "RssAnon"))
		}
	}
	octets := s.end(t)
	for i, a := range p.both() {
		for _, m := range []struct {
			what string
			kB   []int64
		}{{"resident", resident[i]}, {"of it anonymous (Go's heap and stacks, the rings)", anonymous[i]}} {
			third := len(m.kB) / 3
			first, last := middle(m.kB[:third]), middle(m.kB[2*third:])
			// What Go's collector lets stand between two collections is up to
			// twice the live heap, a few MiB.
			if last > first+first/10+4<<10 {
				t.Errorf("%s: %s memory grew from %d kB to %d kB in %v", a.Name, m.what, first, last, length)
			}
			figure(t, "memory of %s under load for %v (%.1f GB of TCP), %s: %.1f MB in the first third, %.1f MB in the last, %.1f MB at most",
				a.Name, length, float64(octets)/1e9, m.what, float64(first)/1e3, float64(last)/1e3, float64(slices.Max(m.kB))/1e3)
		}
	}
}

// middle is the median.
func middle(kB []int64) int64 {
	kB = slices.Sorted(slices.Values(kB))
	return kB[len(kB)/2]
}

// held is a field of a daemon's /proc/PID/status in kB.
func held(t *testing.T, a *lab.Appliance, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid()))
	check(t, err)
	for line := range bytes.Lines(text) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == field+":" {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			check(t, err)
			return n
		}
	}
	t.Fatalf("/proc/%d/status has no %s", a.Pid(), field)
	return 0
}
