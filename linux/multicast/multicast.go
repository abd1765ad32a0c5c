// Package multicast tells of changes that the kernel multicasts over netlink.
package multicast

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/netns"
)

// Watch sends a token after a message that concerns tells, of the groups (a mask,
// of the first 32) of a netlink family in ns, until ctx ends, and then closes the
// channel; it also closes it if the socket breaks. Tokens are merged. Messages
// that the kernel had no room for are told, whatever they were.
func Watch(ctx context.Context, ns *netns.NS, family int, groups uint32, concerns func(netlink.Message) bool) (<-chan struct{}, error) {
	var conn *netlink.Conn
	if err := ns.Do(func() (err error) {
		conn, err = netlink.Dial(family, &netlink.Config{Groups: groups})
		return err
	}); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
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
				told = told || concerns(m)
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
