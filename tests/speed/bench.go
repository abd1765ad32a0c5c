package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// bench is one run of the program.
type bench struct {
	settings settings
	window   int // octets of socket buffer that iperf3 may ask for
	up       []running
	notes    []string
}

// running is a contender with its ends.
type running struct {
	contender
	ends *ends
}

// wantWindow is the socket buffer of the UDP measurements, where the kernel's
// limit lets it be that large.
const wantWindow = 4 << 20

func newBench(s settings) (*bench, error) {
	b := &bench{settings: s, window: wantWindow}
	for _, limit := range []string{"rmem_max", "wmem_max"} {
		text, err := os.ReadFile("/proc/sys/net/core/" + limit)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return nil, fmt.Errorf("net.core.%s: %w", limit, err)
		}
		b.window = min(b.window, n)
	}
	return b, nil
}

// open starts a contender and waits until it carries packets.
func (b *bench) open(ctx context.Context, c contender) error {
	e, err := c.open(ctx, b)
	if e != nil {
		b.up = append(b.up, running{c, e})
	}
	if err != nil {
		return err
	}
	return e.reach(ctx)
}

// close ends and removes all contenders.
func (b *bench) close() error {
	var errs []error
	for _, r := range b.up {
		if err := r.ends.close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.name, err))
		}
	}
	b.up = nil
	return errors.Join(errs...)
}

// run measures round by round and tells to log what it finds. What it returns
// has the whole rounds, also with an error.
func (b *bench) run(ctx context.Context, log io.Writer) (*results, error) {
	r := b.newResults()
	for round := range b.settings.rounds {
		values := make([]sample, len(b.up))
		for i := range values {
			values[i] = sample{}
		}
		limit, err := gcmLimit(300 * time.Millisecond)
		if err != nil {
			return r, err
		}
		for _, m := range measurements {
			if b.settings.tcp1 && m.name != measureOne {
				continue
			}
			for turn := range b.up {
				i := (turn + round) % len(b.up)
				c := b.up[i]
				s, err := m.measure(ctx, b, c.ends)
				if ctx.Err() != nil {
					return r, errors.New("interrupted")
				}
				if err != nil {
					return r, fmt.Errorf("round %d, %s, %s: %w", round+1, m.name, c.name, err)
				}
				var told []string
				for _, f := range figures {
					if v, ok := s[f.id]; ok {
						values[i][f.id] = v
						told = append(told, fmt.Sprintf("%s %s", number(v), f.unit))
					}
				}
				fmt.Fprintf(log, "round %d of %d, %s, %s: %s\n", round+1, b.settings.rounds, m.name, c.name, strings.Join(told, ", "))
			}
		}
		r.add(limit, values)
	}
	return r, nil
}
