package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/multicast"
)

// Event is a change of an interface: a new one, one whose state, carrier or
// settings changed, or one that went.
type Event struct {
	Link    Link
	Deleted bool
	// Around says that something about the interface changed that is not the
	// Link's: an address, an IPv6 setting, a qdisc or filter. Link has its
	// Index alone.
	Around bool
	// Lost says that the reader was too slow and events are missing; Link is
	// empty. List tells the present state.
	Lost bool
}

// groups are those of Event: links, and with Around addresses, IPv6 settings
// and traffic control. XDP programs are the link's own.
const groups = unix.RTMGRP_LINK | unix.RTMGRP_TC | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_IFINFO

// Subscribe sends the namespace's link events until ctx ends, and then closes
// the channel; it also closes it if the socket breaks. A List or ByName after
// Subscribe misses nothing.
func (h *Handle) Subscribe(ctx context.Context) (<-chan Event, error) {
	events := make(chan Event)
	if err := multicast.Listen(ctx, h.ns, unix.NETLINK_ROUTE, groups, func(receive func() ([]mnl.Message, error)) {
		defer close(events)
		pump(ctx, receive, events)
	}); err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	return events, nil
}

func pump(ctx context.Context, receive func() ([]mnl.Message, error), events chan<- Event) {
	send := func(e Event) bool {
		select {
		case events <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		msgs, err := receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			if !send(Event{Lost: true}) {
				return
			}
			continue
		case err != nil:
			return
		}
		for _, m := range msgs {
			if e, ok := decodeEvent(m); ok && !send(e) {
				return
			}
		}
	}
}

// decodeEvent reads one message of groups; false if it tells nothing.
func decodeEvent(m mnl.Message) (Event, bool) {
	deleted := m.Header.Type == unix.RTM_DELLINK
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) == 0 || m.Data[0] != unix.AF_INET6 {
			l, ok, err := decodeLink(m.Data)
			return Event{Link: l, Deleted: deleted}, ok && err == nil
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
	default:
		return Event{}, false
	}
	// ifinfomsg, ifaddrmsg and tcmsg all have the index in octets 4 to 7.
	if len(m.Data) < 8 {
		return Event{}, false
	}
	return Event{Link: Link{Index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}, Around: true}, true
}
