// Package wire tells Azure's platform that a machine made of the image is
// provisioned, or why it could not be, as an image without a provisioning agent
// is to do it: the goal state is read from the wire server, and a health report
// is posted to it. It goes by the interface whose DHCP lease is the platform's
// alone, so that no route of an operator's or a tunnel's takes it elsewhere.
package wire

import (
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Leases is where systemd-networkd keeps its DHCP leases, one an interface, named
// by its index.
const Leases = "/run/systemd/netif/leases"

// server is the wire server's address in all of Azure, and its DHCP server's.
var server = netip.AddrFrom4([4]byte{168, 63, 129, 16})

// Way is how the wire server is reached.
type Way struct {
	Interface int // index
	Server    netip.Addr
}

// ErrNoLease says that no interface has a DHCP lease of Azure's.
var ErrNoLease = errors.New("no interface has a DHCP lease from Azure's platform")

// Find looks for the lease in dir.
func Find(dir string) (Way, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Way{}, err
	}
	for _, e := range entries {
		index, err := strconv.Atoi(e.Name())
		if err != nil || index <= 0 || !e.Type().IsRegular() {
			continue
		}
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // it has just ended
		}
		text, err := io.ReadAll(io.LimitReader(f, 64<<10))
		f.Close()
		if err != nil {
			return Way{}, err
		}
		if at, ok := parseLease(string(text)); ok {
			return Way{index, at}, nil
		}
	}
	return Way{}, ErrNoLease
}

// parseLease tells a lease of the platform's: its server is the wire server, a
// route of its own leads there, or option 245 names it.
func parseLease(text string) (at netip.Addr, ok bool) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "SERVER_ADDRESS":
			ok = ok || value == server.String()
		case "ROUTES", "CLASSLESS_ROUTES":
			ok = ok || slices.ContainsFunc(strings.Fields(value), func(r string) bool {
				return strings.HasPrefix(r, server.String()+"/32,")
			})
		case "OPTION_245":
			octets, err := hex.DecodeString(value)
			if a, fits := netip.AddrFromSlice(octets); err == nil && fits && a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() {
				return a, true
			}
		}
	}
	return server, ok
}
