package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// results are all values of a run, as -json writes them.
type results struct {
	Rounds     int               `json:"rounds"`
	Seconds    int               `json:"seconds"`
	Machine    string            `json:"machine"`
	Notes      []string          `json:"notes"`
	GCM        []float64         `json:"aes_gcm_gbit_s"` // a round each
	Contenders []contestant      `json:"contenders"`
	Units      map[string]string `json:"units"`
}

// contestant has a contender's values by figure, a round each. A figure that
// it does not have, as the processor time of daemons that there are none of,
// is absent.
type contestant struct {
	Name   string               `json:"name"`
	About  string               `json:"about"`
	Values map[string][]float64 `json:"values"`
}

func (b *bench) newResults() *results {
	r := &results{Seconds: b.settings.seconds, Machine: machine(), Units: map[string]string{}}
	r.Notes = append(r.Notes, fmt.Sprintf("UDP has socket buffers of %d KiB at both ends", b.window>>10))
	r.Notes = append(r.Notes, b.notes...)
	for _, f := range figures {
		r.Units[f.id] = f.unit
	}
	for _, c := range b.up {
		r.Contenders = append(r.Contenders, contestant{c.name, c.about, map[string][]float64{}})
	}
	return r
}

// add takes the values of a round, a sample a contender; limit is in bit/s.
func (r *results) add(limit float64, round []sample) {
	r.Rounds++
	r.GCM = append(r.GCM, limit/1e9)
	for i, s := range round {
		for id, v := range s {
			r.Contenders[i].Values[id] = append(r.Contenders[i].Values[id], v)
		}
	}
}

// machine names the processor, the number of them that this program may use,
// the kernel and the Go that built the program.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	release := "of unknown release"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d processors, Linux %s, %s", model, runtime.NumCPU(), release, runtime.Version())
}
