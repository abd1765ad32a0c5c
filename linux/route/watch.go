package route

import (
	"context"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/multicast"
)

// groups are those of routes and rules (RTNLGRP_*), as a mask.
const groups = 1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) | 1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1)

// Watch sends a token after a rule, or a route of table, has changed, until ctx
// ends, and then closes the channel; it also closes it if the socket breaks.
// Tokens are merged.
func (h *Handle) Watch(ctx context.Context, table int) (<-chan struct{}, error) {
	tokens, err := multicast.Watch(ctx, h.ns, unix.NETLINK_ROUTE, groups, func(m mnl.Message) bool { return concerns(m, table) })
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
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
