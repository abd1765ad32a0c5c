package azure

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// authorityOp finds the operation of an authority's path, split at its slashes.
func authorityOp(c *Cloud, method string, parts []string) (Op, func(*request) *reply) {
	switch path := strings.Join(parts[1:], "/"); {
	case method == http.MethodGet && parts[0] == "common" && path == "discovery/instance":
		return OpDiscovery, c.discoverInstance
	case method == http.MethodGet && path == "v2.0/.well-known/openid-configuration":
		return OpDiscovery, c.discoverTenant
	case method == http.MethodPost && path == "oauth2/v2.0/token":
		return OpToken, c.giveToken
	}
	return OpUnknown, nil
}

// discoverInstance tells that we are the authority of our own name, and of
// Microsoft's, for clients that trust no other.
func (c *Cloud) discoverInstance(q *request) *reply {
	u, err := url.Parse(q.http.URL.Query().Get("authorization_endpoint"))
	if err != nil || u.Host == "" {
		return denied(http.StatusBadRequest, "invalid_request", 90014, "The required field 'authorization_endpoint' is missing.")
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if u.Host != q.http.Host && u.Host != c.Endpoint() && u.Host != authorityHost {
		return denied(http.StatusBadRequest, "invalid_instance", 50049, "Unknown or invalid instance.")
	}
	return answer(http.StatusOK, map[string]any{
		"api-version":               "1.1",
		"tenant_discovery_endpoint": "https://" + u.Host + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"metadata": []any{map[string]any{
			"preferred_network": u.Host, "preferred_cache": u.Host, "aliases": []string{u.Host},
		}},
	})
}

func (c *Cloud) discoverTenant(q *request) *reply {
	tenant := firstPart(q)
	if !strings.EqualFold(tenant, Tenant) {
		return unknownTenant(tenant)
	}
	at := q.base() + "/" + tenant
	return answer(http.StatusOK, map[string]any{
		"issuer":                                at + "/v2.0",
		"authorization_endpoint":                at + "/oauth2/v2.0/authorize",
		"token_endpoint":                        at + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
	})
}

func firstPart(q *request) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(q.http.URL.Path, "/"), "/")
	return first
}

// giveToken is the client credentials grant.
func (c *Cloud) giveToken(q *request) *reply {
	if tenant := firstPart(q); !strings.EqualFold(tenant, Tenant) {
		return unknownTenant(tenant)
	}
	form, err := url.ParseQuery(string(q.body))
	if err != nil {
		return denied(http.StatusBadRequest, "invalid_request", 900144, "The request body is no form.")
	}
	if g := form.Get("grant_type"); g != "client_credentials" {
		return denied(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '"+g+"'.")
	}
	clientID := form.Get("client_id")
	if clientID == "" {
		return denied(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.")
	}
	resource, bad := resourceOf(form.Get("scope"))
	if bad != nil {
		return bad
	}
	id, known := c.identity(byClientID(clientID))
	if !known || id.System {
		return denied(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '"+clientID+"' was not found in the directory '"+Tenant+"'.")
	}
	c.identify(q.call, id.ClientID)
	if bad := c.prove(q, id, form); bad != nil {
		return bad
	}
	token, _, err := c.mint(id, resource)
	if err != nil {
		return denied(http.StatusInternalServerError, "server_error", 90033, err.Error())
	}
	life := int64(c.opts.TokenLife.Seconds())
	return answer(http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token,
	})
}

// resourceOf is the one resource of a scope, beside those of OpenID that clients
// always ask for.
func resourceOf(scope string) (string, *reply) {
	scopes := slices.DeleteFunc(strings.Fields(scope), func(s string) bool {
		return slices.Contains([]string{"openid", "offline_access", "profile"}, s)
	})
	if len(scopes) != 1 || !strings.HasSuffix(scopes[0], "/.default") {
		return "", denied(http.StatusBadRequest, "invalid_scope", 70011,
			"The provided request must include a 'scope' input parameter. Scope '"+scope+"' is not valid.")
	}
	resource := strings.TrimSuffix(scopes[0], "/.default")
	if !slices.Contains(resources, resource) {
		return "", denied(http.StatusBadRequest, "invalid_resource", 500011,
			"The resource principal named "+resource+" was not found in the tenant named "+Tenant+".")
	}
	return resource, nil
}

// resources are what the tenant knows; a token is good for one.
var resources = []string{Resource, "https://management.azure.com", "https://graph.microsoft.com"}

func unknownTenant(tenant string) *reply {
	return denied(http.StatusBadRequest, "invalid_tenant", 90002, "Tenant '"+tenant+"' not found.")
}

// denied is an authority's error (RFC 6749, 5.2, with the authority's own fields).
func denied(status int, code string, number int, why string) *reply {
	return answer(status, map[string]any{
		"error": code, "error_description": fmt.Sprintf("AADSTS%d: %s", number, why),
		"error_codes": []int{number}, "trace_id": randomID(), "correlation_id": randomID(),
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
	})
}
