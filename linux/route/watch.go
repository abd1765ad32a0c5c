package route

import (
	"context"
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// groups are those of routes and rules (RTNLGRP_*), as a mask.
const groups = 1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) | 1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// Watch sends a token after a rule, or a route of table, has changed, until ctx
// ends, and then closes the channel; it also closes it if the socket breaks.
// Tokens are merged.
func (h *Handle) Watch(ctx context.Context, table int) (<-chan struct{}, error) {
	var conn *mnl.Conn
	if err := h.ns.Do(func() (err error) {
		conn, err = mnl.Dial(unix.NETLINK_ROUTE, &mnl.Config{Groups: groups})
		return err
	}); err != nil {
		return nil, fmt.Errorf("routes: subscribe: %w", err)
	}
	tokens := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(tokens)
		defer func() {
			if stop() {
				conn.Close()
			}
		}()
		for {
			msgs, err := conn.Receive()
			told := errors.Is(err, unix.ENOBUFS) // some are missing
			if err != nil && !told {
				return
			}
			for _, m := range msgs {
				told = told || concerns(m, table)
			}
			if told {
				select {
				case tokens <- struct{}{}:
				default:
				}
			}
		}
	}()
	return tokens, nil
}

// concerns tells a message of a rule, or of a route of table.
func concerns(m mnl.Message, table int) bool {
	switch m.Header.Type {
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return true
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, ok, err := decodeRoute(m.Data)
		return err == nil && ok && r.Table == table
	}
	return false
}
