package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// figure is one line of the table.
type figure struct {
	id, title, unit string
	// octets of payload in a packet: with it a rate of packets has a share of
	// the AES-GCM limit. -1: the unit is Gbit/s. 0: it has none.
	octets int
}

const (
	tcp1 = "tcp1"
	tcp4 = "tcp4"
	udpS = "udp64"
	udpL = "udp1400"
	rtt  = "rtt_median"
	rttP = "rtt_p99"
	cpu  = "cpu_machine"
	cpuD = "cpu_daemons"
)

var figures = []figure{
	{tcp1, "TCP, 1 stream", "Gbit/s", -1},
	{tcp4, "TCP, 4 streams", "Gbit/s", -1},
	{udpS, "UDP, 64 octets, at most 0.1 % lost", "kpackets/s", 64},
	{udpL, "UDP, 1400 octets, at most 0.1 % lost", "kpackets/s", 1400},
	{rtt, "round trip, idle, median", "µs", 0},
	{rttP, "round trip, idle, 99 of 100", "µs", 0},
	{cpu, "processor time, whole machine, TCP", "s/Gbit", 0},
	{cpuD, "processor time, the daemons, TCP", "s/Gbit", 0},
}

// sample has values of one round by the ids of their figures.
type sample map[string]float64

// measurement yields one figure or several.
type measurement struct {
	name    string
	measure func(ctx context.Context, b *bench, e *ends) (sample, error)
}

// measureOne is the measurement that -tcp1 is about.
const measureOne = "TCP, 1 stream"

var measurements = []measurement{
	{"round trip", measureRoundTrip},
	{measureOne, func(ctx context.Context, b *bench, e *ends) (sample, error) {
		return measureTCP(ctx, b, e, 1, tcp1, true)
	}},
	{"TCP, 4 streams", func(ctx context.Context, b *bench, e *ends) (sample, error) {
		return measureTCP(ctx, b, e, 4, tcp4, false)
	}},
	{"UDP, 64 octets", func(ctx context.Context, b *bench, e *ends) (sample, error) {
		return measureUDP(ctx, b, e, 64, udpS)
	}},
	{"UDP, 1400 octets", func(ctx context.Context, b *bench, e *ends) (sample, error) {
		return measureUDP(ctx, b, e, 1400, udpL)
	}},
}

func measureRoundTrip(ctx context.Context, _ *bench, e *ends) (sample, error) {
	const count = 1000
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := run(ctx, e.from, "ping", "-n", "-i", "0.002", "-c", strconv.Itoa(count), "-w", "15", e.target.String())
	us, parsed := roundTrips(out, count)
	if parsed != nil {
		// ping fails with its last answer missing too: what it said counts.
		if err != nil {
			parsed = fmt.Errorf("%w (%w)", parsed, err)
		}
		return nil, parsed
	}
	return sample{rtt: median(us), rttP: quantile(us, 0.99)}, nil
}

func measureTCP(ctx context.Context, b *bench, e *ends, streams int, id string, withCPU bool) (sample, error) {
	return twice(ctx, func() (sample, error) {
		before, err := readCPU(e.daemons)
		if err != nil {
			return nil, err
		}
		_, receiver, err := iperf(ctx, e, b.settings.seconds, "--parallel", strconv.Itoa(streams))
		if err != nil {
			return nil, err
		}
		after, err := readCPU(e.daemons)
		if err != nil {
			return nil, err
		}
		rate, total, err := receiver.rate()
		if err != nil {
			return nil, err
		}
		s := sample{id: rate / 1e9}
		if withCPU {
			s[cpu] = (after.machine - before.machine) / (total / 1e9)
			if len(e.daemons) > 0 {
				s[cpuD] = (after.daemons - before.daemons) / (total / 1e9)
			}
		}
		return s, nil
	})
}

func measureUDP(ctx context.Context, b *bench, e *ends, octets int, id string) (sample, error) {
	seconds := max(1, b.settings.seconds/3)
	rate, err := highest(func(rate float64) (trial, error) {
		t, err := twice(ctx, func() (trial, error) {
			sender, receiver, err := iperf(ctx, e, seconds, "--udp", "--length", strconv.Itoa(octets),
				"--bitrate", strconv.FormatFloat(rate*float64(8*octets), 'f', 0, 64), "--window", strconv.Itoa(b.window))
			if err != nil {
				return trial{}, err
			}
			return datagrams(sender, receiver)
		})
		if b.settings.verbose && err == nil {
			fmt.Fprintf(os.Stderr, "  %d octets at %.0f/s (0: no limit): sent %.0f/s, received %.0f/s, %.3f %% lost, %.2f %% not read\n",
				octets, rate, t.sent, t.received, 100*t.lost, 100*t.behind)
		}
		return t, err
	})
	return sample{id: rate / 1e3}, err
}
