package overlay

import (
	"hash/fnv"
	"reflect"
	"strconv"

	"github.com/linkseal/linkseal/dataplane/config"
)

// AliasPrefix begins the alias of every interface that linkseal made.
const AliasPrefix = "linkseal:"

// Alias is the interface alias of member n of the named tunnel: linkseal:NAME.N.
func Alias(tunnel string, n int) string { return AliasPrefix + MemberName(tunnel, n) }

// MemberName is NAME.N: what names a member where only one name is to be had.
func MemberName(tunnel string, n int) string { return tunnel + "." + strconv.Itoa(n) }

// IfID is the XFRM interface's if_id of member n: 32 bits of a hash of its
// name, never 0, the same after every start.
func IfID(tunnel string, n int) uint32 {
	h := fnv.New32a()
	h.Write([]byte(MemberName(tunnel, n))) // never fails
	return max(h.Sum32(), 1)
}

// SameSession tells whether a Session that was opened for a does for b, after
// Configure: secure, protect, addresses, MTU, MSS, probe, DSCP, keychains,
// keepalive and peers change while it lives. What else differs ends it: Close,
// then Open for b, which adopts what lives.
func SameSession(a, b config.Tunnel) bool {
	reduce := func(t config.Tunnel) config.Tunnel {
		t.FitMTU, t.FitMSS = false, false
		t.Must, t.Protect, t.Addresses, t.MTU, t.MSS, t.Probe, t.CopyDSCP = false, nil, nil, 0, 0, nil, false
		if t.WireGuard != nil {
			w := *t.WireGuard
			w.Keychain, w.Keepalive, w.AllowedIPs, w.Peers = "", 0, nil, nil
			t.WireGuard = &w
		}
		if t.IPsec != nil {
			s := *t.IPsec
			s.Keychain = ""
			t.IPsec = &s
		}
		return t
	}
	return reflect.DeepEqual(reduce(a), reduce(b))
}
