package azure

import (
	"net"
	"net/http"
	"strings"
)

// Op is a kind of call.
type Op string

// The calls that a cloud answers.
const (
	OpGet         Op = "get"           // a value, of a version or the latest
	OpVersions    Op = "versions"      // a page of a secret's versions
	OpList        Op = "list"          // a page of the vault's secrets
	OpSet         Op = "set"           // a new version
	OpUpdate      Op = "update"        // attributes, tags, content type
	OpDelete      Op = "delete"        //
	OpGetDeleted  Op = "get deleted"   //
	OpListDeleted Op = "list deleted"  //
	OpRecover     Op = "recover"       //
	OpPurge       Op = "purge"         //
	OpDiscovery   Op = "discovery"     // the authority's documents
	OpToken       Op = "token"         // the authority's token endpoint
	OpIdentity    Op = "identity"      // the managed identity's token endpoint
	OpUnknown     Op = "unknown"       // no address of a cloud
	AnyOp         Op = ""              // for a Fault: every call
	AnyVault      Op = "any vault"     // for a Fault: every call to the vault
	AnyAuthority  Op = "any authority" // for a Fault: discovery and token
)

// covers reports whether a fault of kind o is about the call op.
func (o Op) covers(op Op) bool {
	authority := op == OpDiscovery || op == OpToken
	switch o {
	case AnyOp:
		return true
	case AnyAuthority:
		return authority
	case AnyVault:
		return !authority && op != OpIdentity
	}
	return o == op
}

// request is a call before it is answered.
type request struct {
	call   *Call
	http   *http.Request
	body   []byte
	handle func(*request) *reply
}

// base is the address of vault or authority as the caller knows it.
func (q *request) base() string { return "https://" + q.http.Host }

// route finds what a call to vault or authority is. Both listen at one address;
// by their names each has only its own.
func (c *Cloud) route(r *http.Request) request {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	host = strings.ToLower(host)
	q := request{call: &Call{Op: OpUnknown}, http: r, handle: func(*request) *reply { return nowhere() }}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "secrets" || parts[0] == "deletedsecrets":
		if host == authorityHost || strings.HasSuffix(host, vaultDomain) && host != c.host {
			return q
		}
		op, handle := vaultOp(c, r.Method, parts)
		q.call.Op = op
		if len(parts) > 1 {
			q.call.Secret = parts[1]
		}
		if (op == OpGet || op == OpUpdate) && len(parts) > 2 {
			q.call.Version = parts[2]
		}
		if handle != nil {
			q.handle = c.authorised(handle)
		}
	case host == authorityHost || !strings.HasSuffix(host, vaultDomain):
		if op, handle := authorityOp(c, r.Method, parts); handle != nil {
			q.call.Op, q.handle = op, handle
		}
	}
	return q
}

// vaultOp finds the operation of a vault's path, split at its slashes.
func vaultOp(c *Cloud, method string, parts []string) (Op, func(*request) *reply) {
	// The client names the latest version by an empty last part.
	name, rest := "", ""
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		rest = parts[2]
	}
	if len(parts) > 3 {
		return OpUnknown, nil
	}
	switch kind := parts[0] + " " + method; {
	case kind == "secrets GET" && name == "":
		return OpList, c.listSecrets
	case kind == "secrets GET" && rest == "versions":
		return OpVersions, c.listVersions
	case kind == "secrets GET":
		return OpGet, c.getSecret
	case kind == "secrets PUT" && rest == "":
		return OpSet, c.setSecret
	case kind == "secrets PATCH":
		return OpUpdate, c.updateSecret
	case kind == "secrets DELETE" && rest == "":
		return OpDelete, c.deleteSecret
	case kind == "deletedsecrets GET" && name == "":
		return OpListDeleted, c.listDeleted
	case kind == "deletedsecrets GET" && rest == "":
		return OpGetDeleted, c.getDeleted
	case kind == "deletedsecrets POST" && rest == "recover":
		return OpRecover, c.recoverSecret
	case kind == "deletedsecrets DELETE" && rest == "":
		return OpPurge, c.purgeSecret
	}
	return OpUnknown, nil
}
