package tunnels

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/lab"
)

// within is how long a thousand tunnels may take to be set up.
const within = 60 * time.Second

// Many sets up a thousand tunnels on one appliance, without traffic.
func (s Suite) Many(t *testing.T) {
	n := times(s, 1000, 50)
	p := s.pair(t, lab.Options{}, make([]lab.Tunnel, n)...)
	start := time.Now()
	p.start(t)
	took := time.Since(start)
	memory, err := resident(p.west)
	check(t, err)
	cpu, err := p.west.CPU()
	check(t, err)
	if took > within {
		t.Errorf("%d tunnels are set up after %v; %v are wanted", n, took, within)
	}
	x := p.traffic(t, n-1, 5*time.Millisecond)
	p.flows(t, x, 20)
	if c := x.Stop(); c.Lost() > 0 {
		t.Errorf("in the last of them: %v", c)
	}
	p.none(t, "many tunnels")
	s.figure("%d tunnels on each of two appliances: all secured after %v; one has used %v of processor and has %s of memory", n, took.Round(10*time.Millisecond), cpu, memory)
}

// resident is the memory of the appliance's daemon, as the kernel says it.
func resident(a *lab.Appliance) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.Pid()))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(size), nil
		}
	}
	return "", fmt.Errorf("the kernel does not say how much memory %s has", a.Name)
}
