package nft

import (
	"context"
	"fmt"

	mnl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/multicast"
)

// rulesets is the multicast group of what changes in nftables (NFNLGRP_NFTABLES).
const rulesets = 1 << (unix.NFNLGRP_NFTABLES - 1)

// Watch sends a token after something of linkseal's tables has changed, until ctx
// ends, and then closes the channel; it also closes it if the socket breaks.
// Tokens are merged.
func (h *Handle) Watch(ctx context.Context) (<-chan struct{}, error) {
	tokens, err := multicast.Watch(ctx, h.ns, unix.NETLINK_NETFILTER, rulesets, concerns)
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
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
