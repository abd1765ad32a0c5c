package wireguard

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// The configuration protocol (wireguard.com/xplatform): lines of key=value.

// zeroKey is no key.
var zeroKey = make([]byte, identity.Size)

func appendHex(b []byte, key string, octets []byte) []byte {
	b = append(append(b, key...), '=')
	b = hex.AppendEncode(b, octets)
	return append(b, '\n')
}

// appendPrivate and the like are called inside erase.Do.
func appendPrivate(b []byte, key *secret.Key) []byte {
	return appendHex(b, "private_key", key.Bytes())
}

func appendPSK(b []byte, key *secret.Key) []byte {
	octets := zeroKey
	if key != nil {
		octets = key.Bytes()
	}
	return appendHex(b, "preshared_key", octets)
}

// appendPeer has what differs of to from from, which is nil for a peer that is
// not there.
func appendPeer(b []byte, from *peer, to peer) []byte {
	b = appendHex(b, "public_key", to.public[:])
	if from != nil {
		b = append(b, "update_only=true\n"...)
	}
	if !to.keep && (from == nil || from.keep || from.name != to.name) {
		b = appendPSK(b, to.psk)
	}
	if to.endpoint.IsValid() && (from == nil || from.endpoint != to.endpoint || from.redirect != to.redirect) {
		b = fmt.Appendf(b, "endpoint=%s\n", to.endpoint)
	}
	if from == nil || from.keepalive != to.keepalive {
		b = fmt.Appendf(b, "persistent_keepalive_interval=%d\n", to.keepalive/time.Second)
	}
	var had []netip.Prefix
	if from != nil {
		had = from.allowed
	}
	for _, a := range to.allowed {
		if !slices.Contains(had, a) {
			b = fmt.Appendf(b, "allowed_ip=%s\n", a)
		}
	}
	for _, a := range had {
		if !slices.Contains(to.allowed, a) {
			b = fmt.Appendf(b, "allowed_ip=-%s\n", a)
		}
	}
	return b
}

// parse reads what a device says of its peers. Keys are passed over.
func parse(text []byte) (map[identity.Public]reading, error) {
	all := map[identity.Public]reading{}
	var of identity.Public
	var r reading
	var sec, nsec int64
	for line := range bytes.Lines(text) {
		key, value, ok := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'='})
		if !ok {
			continue
		}
		var err error
		switch string(key) {
		case "public_key":
			r, sec, nsec = reading{}, 0, 0
			if len(value) != hex.EncodedLen(len(of)) {
				return nil, fmt.Errorf("a public key of %d digits", len(value))
			}
			_, err = hex.Decode(of[:], value)
		case "endpoint":
			r.endpoint, err = netip.ParseAddrPort(string(value))
			r.endpoint = unmapped(r.endpoint)
		case "last_handshake_time_sec":
			sec, err = strconv.ParseInt(string(value), 10, 64)
		case "last_handshake_time_nsec":
			nsec, err = strconv.ParseInt(string(value), 10, 64)
		case "rx_bytes":
			r.rx, err = strconv.ParseUint(string(value), 10, 64)
		case "tx_bytes":
			r.tx, err = strconv.ParseUint(string(value), 10, 64)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if sec != 0 || nsec != 0 {
			r.handshake = time.Unix(sec, nsec)
		}
		all[of] = r
	}
	return all, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() {
		return a
	}
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
