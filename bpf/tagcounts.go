package bpf

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// TagTraffic is what AttachTags counts on an interface. Octets are those of
// frames as they are there, VLAN tags included and without FCS; a super-packet
// (GSO, GRO) counts as the frames that it becomes, or was.
type TagTraffic struct {
	Ingress, Egress Mode
	// Circuits that were seen, by tags and direction.
	Circuits []Circuit
	// Classes of the rules, in their order, the one of no rule last.
	Classes []Class
}

// Class is the traffic that matched a rule first.
type Class struct {
	Direction string
	Name      string // the rule's; "" of what no rule matches
	Traffic
}

var directionNames = [directions]string{OfIngress, OfEgress}

// ErrNotTagged says that the programs of AttachTags are not on a device.
var ErrNotTagged = errors.New("it is not tagged on both its sides; AttachTags")

// ReadTags reads what is counted on the secured interface with that index in the
// calling thread's network namespace.
func ReadTags(ifindex int) (r TagTraffic, err error) {
	l, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return r, fmt.Errorf("bpf: device %d: %w", ifindex, err)
	}
	t, err := findTaggers(l)
	defer func() { t.Close() }()
	if c := t.current(); err == nil && (c == nil || t[0] == nil || t[1] == nil) {
		err = ErrNotTagged
	} else if err == nil {
		if err = c.openMaps(keptByTaggers...); err == nil {
			r, err = c.read()
		}
	}
	if err != nil {
		return r, fmt.Errorf("bpf: device %s: %w", l.Attrs().Name, err)
	}
	r.Ingress, r.Egress = t[0].mode, t[1].mode
	return r, nil
}

func (t *tagger) read() (r TagTraffic, err error) {
	now, err := readTicks()
	if err != nil {
		return r, err
	}
	if r.Circuits, err = readCircuits(t.maps, now); err != nil {
		return r, fmt.Errorf("read circuits: %w", err)
	}
	class := func(name string, slot uint8) error {
		for d := range uint32(directions) {
			n, err := trafficAt(t.maps[securedMapClasses], uint32(slot)*directions+d, now)
			if err != nil {
				return fmt.Errorf("read classes: %w", err)
			}
			r.Classes = append(r.Classes, Class{directionNames[d], name, n})
		}
		return nil
	}
	for _, w := range t.rules.Rule[:min(int(t.rules.Count), MaxRules)] {
		if err := class(securedTagRule(w).name(), w.Slot); err != nil {
			return r, err
		}
	}
	return r, class("", 0)
}
