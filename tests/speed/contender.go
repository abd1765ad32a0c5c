package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/linux/probe"
	"github.com/linkseal/linkseal/tests/lab"
)

// contender is a way to carry packets from one namespace to another.
type contender struct {
	name string
	// about tells what is between the two ends, for a reader of the figures.
	about string
	needs []probe.Feature
	// open makes the two ends. What it made is in ends also with an error.
	open func(ctx context.Context, b *bench) (*ends, error)
}

// The contenders that tunnels compares.
const wireguardStock, wireguardUserspace = "wireguard-go", "linkseal-wg"

// all contenders, in the order of the table. The ratios are those of linkseal.
var all = []contender{
	{"veth", "a veth, MTU 1500, nothing in between; it carries TCP in segments of up to 64 KiB, uncut", []probe.Feature{probe.NetNS, probe.Veth}, openVeth},
	{wireguardStock, "two processes, as they come; tunnel MTU 1500 over a veth of 1600", []probe.Feature{probe.NetNS, probe.Veth, probe.TUN}, openWireguardGo},
	{subject, "two linksealds, MACsec in user space, gcm-aes-256, MTU 1500 over a veth of 1600", []probe.Feature{probe.NetNS, probe.Veth, probe.TUN}, openUserspace},
	{"linkseal-kernel", "two linksealds, the kernel's MACsec, gcm-aes-256, MTU 1500 over a veth of 1600", []probe.Feature{probe.NetNS, probe.Veth, probe.MACsecGCM}, openKernel},
	{wireguardUserspace, "two linksealds, WireGuard in user space; tunnel MTU 1500 over a veth of 1600", []probe.Feature{probe.NetNS, probe.Veth, probe.TUN}, openWireGuardUserspace},
	{"linkseal-wg-kernel", "two linksealds, the kernel's WireGuard; tunnel MTU 1500 over a veth of 1600", []probe.Feature{probe.NetNS, probe.Veth, probe.WireGuard}, openWireGuardKernel},
}

// lacks says what of a contender's needs this machine does not have; "" if
// nothing.
func (c contender) lacks() string {
	for _, f := range c.needs {
		if r := f.Check(); !r.OK {
			return fmt.Sprintf("%s: %s; %s", f, r.Detail, r.Remedy)
		}
	}
	return ""
}

// ends are the two ends of a contender that runs.
type ends struct {
	lab      *lab.Lab
	from, to *netns.NS
	target   netip.Addr // of to
	daemons  []int      // process ids
	// stop ends the daemons that the lab does not know; nil if there are none.
	stop func() error
}

func (e *ends) close() error {
	var err error
	if e.stop != nil {
		err = e.stop()
	}
	return errors.Join(err, e.lab.Close())
}

// between cables two namespaces.
func between(mtu int, binary string) (*ends, error) {
	l, err := lab.New(lab.Options{Names: []string{"west", "east"}, MTU: mtu, Binary: binary})
	if err != nil {
		return nil, err
	}
	west, east := l.Appliances[0], l.Appliances[1]
	return &ends{lab: l, from: west.NS, to: east.NS, target: east.Address.Addr()}, nil
}

func openVeth(_ context.Context, _ *bench) (*ends, error) {
	e, err := between(1500, "")
	if err != nil {
		return nil, err
	}
	for _, a := range e.lab.Appliances {
		err = errors.Join(err, give(a.NS, lab.Device, a.Address))
	}
	return e, err
}

// give puts an address on a device and sets that up.
func give(ns *netns.NS, device string, p netip.Prefix) error {
	return ns.Do(func() error {
		h, err := link.Open()
		if err != nil {
			return err
		}
		defer h.Close()
		l, err := h.ByName(device)
		if err != nil {
			return err
		}
		return errors.Join(h.ReplaceAddress(l.Index, p), h.SetUp(l.Index))
	})
}

// firstReply is how long a contender that is open may take to carry a packet.
const firstReply = 10 * time.Second

// reach waits for the first answer to a ping: addresses are resolved and
// handshakes done before anything is measured.
func (e *ends) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstReply+2*time.Second)
	defer cancel()
	out, err := run(ctx, e.from, "ping", "-n", "-c", "1", "-i", "0.05", "-w", fmt.Sprint(int(firstReply.Seconds())), e.target.String())
	if err != nil {
		return fmt.Errorf("no answer from %s within %v: %w\n%s", e.target, firstReply, err, strings.TrimSpace(string(out)))
	}
	return nil
}
