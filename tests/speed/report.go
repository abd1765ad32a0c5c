package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// report is what is used of iperf3 --json, of client or server.
type report struct {
	Error     string
	Intervals []struct{ Sum span }
	End       struct {
		Sum span // of UDP; TCP has none
	}
}

// span is a stretch of time. Of UDP the receiver counts in Packets those up to
// the highest number that it has seen, and in Lost those of them that did not
// come.
type span struct {
	Start   float64 // seconds since the start
	Seconds float64
	Bytes   float64
	Packets float64
	Lost    float64 `json:"lost_packets"`
}

// parseReport refuses what has no measurement in it.
func parseReport(text []byte) (report, error) {
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("iperf3's report: %w", err)
	}
	if r.Error != "" {
		return r, errors.New("iperf3: " + r.Error)
	}
	if len(r.Intervals) == 0 {
		return r, errors.New("iperf3's report has no interval: nothing was measured")
	}
	return r, nil
}

// warmUp is what is left out at the start of a TCP measurement: slow start.
const warmUp = 0.5

// rate is in bit/s, without the warm-up, and total in bits, with it.
func (r report) rate() (rate, total float64, err error) {
	var bytes, seconds float64
	for _, i := range r.Intervals {
		total += 8 * i.Sum.Bytes
		// iperf3's timer is late by a little at each turn.
		if i.Sum.Start > warmUp-0.1 {
			bytes += i.Sum.Bytes
			seconds += i.Sum.Seconds
		}
	}
	if seconds <= 0 || bytes <= 0 {
		return 0, 0, fmt.Errorf("iperf3: nothing was carried after the first %v s", warmUp)
	}
	return 8 * bytes / seconds, total, nil
}

// trial is what became of datagrams sent at one rate. Rates are in packets/s.
type trial struct {
	sent, received float64
	// lost is the share of packets missing before the last that came. behind
	// is the share of those sent that the receiver had not read at the end:
	// the lost, and what stood in queues.
	lost, behind float64
}

// datagrams puts the two ends' reports of a UDP run together.
func datagrams(sender, receiver report) (trial, error) {
	s, r := sender.End.Sum, receiver.End.Sum
	if s.Packets <= 0 || s.Seconds <= 0 || r.Seconds <= 0 {
		return trial{}, errors.New("iperf3: no datagram was sent")
	}
	got := max(0, r.Packets-r.Lost)
	t := trial{sent: s.Packets / s.Seconds, received: got / r.Seconds, lost: 1, behind: max(0, 1-got/s.Packets)}
	if r.Packets > 0 {
		t.lost = max(0, r.Lost/r.Packets)
	}
	return t, nil
}

// listens tells whether /proc/net/tcp has a listener at an IPv4 address. The
// table has the address as a number of this machine, and 0A for LISTEN.
func listens(table []byte, at netip.AddrPort) bool {
	a := at.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a[:]), at.Port())
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[1] == local && f[3] == "0A" {
			return true
		}
	}
	return false
}
