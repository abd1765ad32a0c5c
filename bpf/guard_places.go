package bpf

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// here is the place of a device of the calling thread's namespace.
func here(ifindex int) (p guardPlace, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return p, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return p, fmt.Errorf("the namespace's cookie: %w", err)
	}
	return guardPlace{Netns: cookie, Ifindex: uint32(ifindex)}, nil
}

// ofFilter calls do with the number of a map of the filter on a device of the
// calling thread's namespace, and with its hooks. That map is there as long as the
// filter is, whatever becomes of the namespace, and the kernel gives no number to two
// in 2^31.
func ofFilter(ifindex int, do func(ebpf.MapID, *hooks) error) error {
	h, _, err := glance(ifindex)
	if err != nil {
		return err
	}
	defer h.Close()
	id := h.pair().id(portMapIngress)
	if id == 0 {
		return ErrNotAttached
	}
	return do(id, h)
}

// of is what the place of a port has: see guard.c.
func of(filter ebpf.MapID) guardRefused { return guardRefused{Bypass: uint64(filter)} }

func (r guardRefused) filter() ebpf.MapID { return ebpf.MapID(r.Bypass) }

// look is what a place has; false if it is not guarded.
func (g *guard) look(p guardPlace) (r guardRefused, guarded bool, err error) {
	err = g.guarded.Lookup(p, &r)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return r, false, nil
	}
	return r, err == nil, err
}

// begin guards a device whose filter has that map, and tells whether it was guarded
// before, under whatever filter. What it began it ends if the trial fails.
func (g *guard) begin(ifindex int, filter ebpf.MapID) (stood bool, err error) {
	at, err := here(ifindex)
	if err != nil {
		return false, err
	}
	space := guardPlace{Netns: at.Netns}
	_, port, err := g.look(at)
	_, netns, errSpace := g.look(space)
	if err = errors.Join(err, errSpace); err == nil {
		err = g.prune(at.Netns)
	}
	if err == nil {
		err = g.guarded.Update(space, guardRefused{}, ebpf.UpdateNoExist)
	}
	if err == nil || errors.Is(err, ebpf.ErrKeyExist) {
		err = g.guarded.Put(at, of(filter))
	}
	if err != nil {
		return false, remedy(err)
	}
	err = g.try()
	if errors.Is(err, broker.ErrUnanswered) && port && netns {
		return true, err // it was not tried, and what stood before was not begun here
	}
	if err != nil {
		return false, errors.Join(err, g.end(ifindex))
	}
	return port && netns, nil
}

// end takes a device out, and the program with the last.
func (g *guard) end(ifindex int) error {
	at, err := here(ifindex)
	if err != nil {
		return err
	}
	if err := drop(g.guarded, at); err != nil {
		return err
	}
	return errors.Join(g.prune(at.Netns), g.close())
}

// prune takes out the ports that are gone, and the namespaces that have none. own
// is the calling thread's, in which a device that has left it is not there.
func (g *guard) prune(own uint64) error {
	var gone, spaces []guardPlace
	has := make(map[uint64]bool)
	all, err := entries[guardPlace, guardRefused](g.guarded)
	if err != nil {
		return err
	}
	for p, r := range all {
		if p.Ifindex == 0 {
			spaces = append(spaces, p)
			continue
		}
		there, err := filtered(r.filter())
		if err != nil {
			return err
		}
		if there && p.Netns == own && p.Ifindex != trialIndex {
			_, err := net.InterfaceByIndex(int(p.Ifindex))
			there = err == nil
		}
		if there {
			has[p.Netns] = true
		} else {
			gone = append(gone, p)
		}
	}
	for _, p := range spaces {
		if !has[p.Netns] {
			gone = append(gone, p)
		}
	}
	for _, p := range gone {
		err = errors.Join(err, drop(g.guarded, p))
	}
	return err
}

// filtered tells whether a filter that has that map is attached somewhere, or
// held by a process.
func filtered(id ebpf.MapID) (bool, error) {
	err := mapExists(id)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open map %d: %w", id, remedy(err))
	}
	return true, nil
}
