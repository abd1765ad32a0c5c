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

// Listen subscribes to groups (a mask, of the first 32) of a netlink family in ns,
// and has take receive from there, in a goroutine. When ctx ends, or the socket
// breaks, receive fails; the socket is closed when take returns. ENOBUFS says that
// the kernel had no room for some messages, and that it goes on.
func Listen(ctx context.Context, ns *netns.NS, family int, groups uint32, take func(receive func() ([]netlink.Message, error))) error {
	var conn *netlink.Conn
	if err := ns.Do(func() (err error) {
		conn, err = netlink.Dial(family, &netlink.Config{Groups: groups})
		return err
	}); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer func() {
			if stop() {
				conn.Close()
			}
		}()
		take(conn.Receive)
	}()
	return nil
}

// Watch listens, and sends a token after a message that concerns tells, until ctx
// ends, and then closes the channel; it also closes it if the socket breaks. Tokens
// are merged. Messages that the kernel had no room for are told, whatever they were.
func Watch(ctx context.Context, ns *netns.NS, family int, groups uint32, concerns func(netlink.Message) bool) (<-chan struct{}, error) {
	tokens := make(chan struct{}, 1)
	err := Listen(ctx, ns, family, groups, func(receive func() ([]netlink.Message, error)) {
		defer close(tokens)
		for {
			msgs, err := receive()
			told := errors.Is(err, unix.ENOBUFS)
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
	})
	return tokens, err
}
