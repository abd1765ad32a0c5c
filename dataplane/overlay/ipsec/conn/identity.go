package conn

import (
	"strconv"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
)

// Prefix begins the name of every connection, CHILD_SA and secret that is ours.
const Prefix = "linkseal."

// Name is what member n of the named tunnel is called in charon, its connection
// and its CHILD_SA: linkseal.NAME.N.
func Name(tunnel string, n int) string { return Prefix + tunnel + "." + strconv.Itoa(n) }

// Tunnel is the inverse of Name; false if name is not one of ours.
func Tunnel(name string) (tunnel string, n int, ok bool) {
	rest, ok := strings.CutPrefix(name, Prefix)
	dot := strings.LastIndexByte(rest, '.')
	if !ok || dot < 1 {
		return "", 0, false
	}
	n, err := strconv.Atoi(rest[dot+1:])
	if err != nil || n < 0 || strconv.Itoa(n) != rest[dot+1:] {
		return "", 0, false
	}
	return rest[:dot], n, true
}

// Identity is what an end of member n calls itself. Several members of one
// tunnel run between the same addresses, and charon tells their IKE_SAs apart by
// identity alone: member 0 has the one that is configured, the address if none
// is, and the others that with their number before it: 1.gw.example. A
// distinguished name (it has =) cannot be varied so and is left as it is.
func Identity(configured, address string, n int) string {
	id := configured
	if id == "" {
		id = address
	}
	if n > 0 && !strings.Contains(id, "=") {
		id = strconv.Itoa(n) + "." + id
	}
	return id
}

// Identities are those of both ends of member n. With certificates an end
// whose identity is not configured has its certificate's subject: local is
// empty, and remote %any, which the CA limits.
func Identities(t config.Tunnel, n int) (local, remote string) {
	local, remote = Identity(t.IPsec.LocalID, t.Local.String(), n), Identity(t.IPsec.RemoteID, t.Remote.String(), n)
	if t.IPsec.Auth == config.AuthCertificate {
		if t.IPsec.LocalID == "" {
			local = ""
		}
		if t.IPsec.RemoteID == "" {
			remote = "%any"
		}
	}
	return local, remote
}
