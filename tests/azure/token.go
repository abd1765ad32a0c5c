package azure

import (
	"crypto/hmac"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// tokenKey signs access tokens, of all clouds of the process (see doc.go). Clients
// must not look into them, so HS256 does as well as the authority's RS256.
var tokenKey = []byte(randomID())

// issuer is that of tokens for a vault: version 1.0, whichever endpoint gave them.
const issuer = "https://sts.windows.net/" + Tenant + "/"

// mint makes an access token for the resource.
func (c *Cloud) mint(id Identity, resource string) (token string, expires time.Time, err error) {
	now := c.now()
	expires = now.Add(c.opts.TokenLife)
	token, err = compose("HS256", claims{
		Audience: resource, Issuer: issuer, Subject: id.ObjectID, ObjectID: id.ObjectID,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: expires.Unix(),
		AppID: id.ClientID, Tenant: Tenant, Version: "1.0", ID: randomID(),
	}, mac(tokenKey))
	return token, expires, err
}

// caller is the identity that the token is of, or why it is refused.
func (c *Cloud) caller(r *http.Request) (Identity, string) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return Identity{}, "AKV10000: Request is missing a Bearer or PoP token."
	}
	t, err := parseJWT(token)
	if err != nil {
		return Identity{}, "AKV10001: Token is malformed: " + err.Error() + "."
	}
	// An HMAC of octets cannot fail.
	want, _ := mac(tokenKey)(t.signed)
	switch {
	case t.header.Alg != "HS256" || !hmac.Equal(want, t.signature):
		return Identity{}, "AKV10046: Unable to resolve the key used for signature validation."
	case strings.TrimSuffix(t.claims.Audience, "/") != Resource:
		return Identity{}, fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", Resource, t.claims.Audience)
	case t.claims.Issuer != issuer:
		return Identity{}, fmt.Sprintf("AKV10032: Invalid issuer. Expected one of %s, found %s.", issuer, t.claims.Issuer)
	case c.now().Unix() >= t.claims.Expires:
		return Identity{}, "AKV10023: The token is expired."
	}
	id, known := c.identity(byClientID(t.claims.AppID))
	if !known {
		return Identity{}, "AKV10047: The identity of the token is unknown."
	}
	return id, ""
}

var apiVersion = regexp.MustCompile(`^(7\.[0-9]|20[0-9]{2}-[0-9]{2}-[0-9]{2})(-preview(\.[0-9])?)?$`)

// authorised has handle answer only who may ask: the order is the service's.
func (c *Cloud) authorised(handle func(*request) *reply) func(*request) *reply {
	return func(q *request) *reply {
		if v := q.http.URL.Query().Get("api-version"); !apiVersion.MatchString(v) {
			return badParameter("The specified version (%s) is not recognized. Consider using the latest supported version (2026-04-01).", v)
		}
		id, why := c.caller(q.http)
		if why != "" {
			p := fail(http.StatusUnauthorized, "Unauthorized", "", "%s", why)
			p.header.Set("WWW-Authenticate",
				fmt.Sprintf(`Bearer authorization="%s%s", resource="%s"`, c.authorityFor(q.http), Tenant, Resource))
			return p
		}
		c.identify(q.call, id.ClientID)
		if a := actions[q.call.Op]; id.Role&a.role == 0 {
			return c.forbidden(q, id, a.name)
		}
		if q.call.Secret != "" {
			if bad := checkName(q.call.Secret); bad != nil {
				return bad
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.store.expire(c.now(), c.opts.Retention)
		return handle(q)
	}
}

// authorityFor is the authority's URL for who called the vault so: by its name
// if the vault was.
func (c *Cloud) authorityFor(r *http.Request) string {
	if strings.HasPrefix(strings.ToLower(r.Host), c.host) {
		return "https://" + authorityHost + "/"
	}
	return c.Authority()
}

// forbidden is the answer to an identity without the role.
func (c *Cloud) forbidden(q *request, id Identity, action string) *reply {
	vault := strings.TrimSuffix(c.host, vaultDomain)
	resource := "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/linkseal/providers/microsoft.keyvault/vaults/" + vault
	if q.call.Secret != "" {
		resource += "/secrets/" + strings.ToLower(q.call.Secret)
	}
	return fail(http.StatusForbidden, "Forbidden", "ForbiddenByRbac",
		"Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=%s;oid=%s;iss=%s\r\nAction: 'Microsoft.KeyVault/vaults/secrets/%s'\r\nResource: '%s'\r\nAssignment: (not found)\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: %s;location=westeurope\r\n",
		id.ClientID, id.ObjectID, issuer, action, resource, vault)
}
