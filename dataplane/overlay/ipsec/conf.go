package ipsec

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A charon in user space routes all that its selectors have into its tun,
// whatever it is told: into a table of its own, which none but packets with this
// mark would use. Nobody sets it; the routes are the reconciler's.
const (
	tunTable = 19540
	tunMark  = "0x4c53544e"
)

// plugins are what charon loads, and nothing else: IKEv2, its algorithms from
// OpenSSL, certificates, and vici. constraints holds certificates to what they
// are for.
const plugins = "random nonce openssl pem pkcs1 pkcs8 x509 pubkey revocation constraints hmac kdf sha1 sha2 aes gcm"

// settings is the strongswan.conf of a charon whose program is called program.
func settings(program, dir string, userspace bool) string {
	load, table := plugins, "routing_table = 0"
	if userspace {
		load += " kernel-libipsec" // before kernel-netlink: the first that does ESP does it
		table = fmt.Sprintf("routing_table = %d\n  routing_table_prio = 32765", tunTable)
	}
	load += " kernel-netlink socket-default vici"
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by linkseal, and read by its charon alone.
%s {
  load = %s
  install_routes = no
  install_virtual_ip = no
  %s
  make_before_break = yes
  # What is established is replaced by another IKE_SA beside it.
  reuse_ikesa = no
  send_vendor_id = no
  # A remote that is gone is noticed after dpd_delay and these 16 s.
  retransmit_timeout = 1
  retransmit_base = 1.6
  retransmit_tries = 4
  # Members of one tunnel come from one address, up to 64 at once.
  cookie_threshold = 256
  cookie_threshold_ip = 128
  block_threshold = 256
  ikesa_table_size = 1024
  ikesa_table_segments = 16
  journal {
    default = -1
  }
  plugins {
    vici {
      socket = unix://%s
    }
    kernel-libipsec {
      load = %s
      allow_peer_ts = yes
    }
    kernel-netlink {
      fwmark = %s
    }
  }
}
`, program, load, table, filepath.Join(dir, "vici"), yesNo(userspace), tunMark)
	return b.String()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
