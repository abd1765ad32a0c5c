package link

import (
	"context"
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Event is a change of an interface: a new one, one whose state, carrier or
// settings changed, or one that went.
type Event struct {
	Link    Link
	Deleted bool
	// Lost says that the reader was too slow and events are missing; Link is
	// empty. List tells the present state.
	Lost bool
}

// Subscribe sends the namespace's link events until ctx ends, and then closes
// the channel; it also closes it if the socket breaks. A List or ByName after
// Subscribe misses nothing.
func (h *Handle) Subscribe(ctx context.Context) (<-chan Event, error) {
	var conn *mnl.Conn
	if err := h.ns.Do(func() (err error) {
		conn, err = mnl.Dial(unix.NETLINK_ROUTE, &mnl.Config{Groups: unix.RTMGRP_LINK})
		return err
	}); err != nil {
		return nil, fmt.Errorf("links: subscribe: %w", err)
	}
	events := make(chan Event)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(events)
		defer func() {
			if stop() {
				conn.Close()
			}
		}()
		pump(ctx, conn.Receive, events)
	}()
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
			if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
				continue
			}
			l, ok, err := decodeLink(m.Data)
			if err != nil || !ok {
				continue
			}
			if !send(Event{Link: l, Deleted: m.Header.Type == unix.RTM_DELLINK}) {
				return
			}
		}
	}
}
