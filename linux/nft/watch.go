package nft

import (
	"context"
	"errors"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// rulesets is the multicast group of what changes in nftables (NFNLGRP_NFTABLES).
const rulesets = 1 << (unix.NFNLGRP_NFTABLES - 1)

// Watch sends a token after something of linkseal's tables has changed, until ctx
// ends, and then closes the channel; it also closes it if the socket breaks.
// Tokens are merged.
func (h *Handle) Watch(ctx context.Context) (<-chan struct{}, error) {
	var conn *mnl.Conn
	if err := h.ns.Do(func() (err error) {
		conn, err = mnl.Dial(unix.NETLINK_NETFILTER, &mnl.Config{Groups: rulesets})
		return err
	}); err != nil {
		return nil, fmt.Errorf("nftables: subscribe: %w", err)
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

// sizeofNfgenmsg is struct nfgenmsg, before the attributes.
const sizeofNfgenmsg = 4

// concerns tells a message of one of linkseal's tables: its name is the first
// attribute of what is a table, and of what is in one (NFTA_TABLE_NAME and its
// like).
func concerns(m mnl.Message) bool {
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Header.Type&0xff == unix.NFT_MSG_NEWGEN || len(m.Data) < sizeofNfgenmsg {
		return false
	}
	ad, err := mnl.NewAttributeDecoder(m.Data[sizeofNfgenmsg:])
	if err != nil {
		return false
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_TABLE_NAME {
			name := ad.String()
			return name == tableName || name == fenceName
		}
	}
	return false
}
