package azure

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const (
	appServicePath = "/msi/token"
	arcPath        = "/metadata/identity/oauth2/token"
)

// routeMetadata finds what a call to the managed identity is.
func (c *Cloud) routeMetadata(r *http.Request) request {
	q := request{call: &Call{Op: OpUnknown}, http: r, handle: func(*request) *reply { return nowhere() }}
	switch {
	case r.Method != http.MethodGet:
	case r.URL.Path == appServicePath:
		q.call.Op, q.handle = OpIdentity, c.appService
	case r.URL.Path == arcPath && c.opts.ArcKeys != "":
		q.call.Op, q.handle = OpIdentity, c.arc
	}
	return q
}

// appService is App Service's form: the caller shows IDENTITY_HEADER.
func (c *Cloud) appService(q *request) *reply {
	shown := q.http.Header.Get("X-IDENTITY-HEADER")
	if subtle.ConstantTimeCompare([]byte(shown), []byte(c.header)) != 1 {
		return machineProblem(http.StatusUnauthorized, "The X-IDENTITY-HEADER is wrong.")
	}
	if q.http.URL.Query().Get("api-version") != "2019-08-01" {
		return machineProblem(http.StatusBadRequest, "Unsupported api-version.")
	}
	return c.giveMachineToken(q, "mi_res_id")
}

// arc is Azure Arc's form: the first answer names a file that only members of
// himds can read, the second call shows what is in it, once.
func (c *Cloud) arc(q *request) *reply {
	if q.http.Header.Get("Metadata") != "true" {
		return machineProblem(http.StatusBadRequest, "The header Metadata: true is missing.")
	}
	shown, found := strings.CutPrefix(q.http.Header.Get("Authorization"), "Basic ")
	if !found {
		return c.arcChallenge()
	}
	c.mu.Lock()
	path, known := c.arcKeys[shown]
	delete(c.arcKeys, shown)
	c.mu.Unlock()
	if !known {
		return machineProblem(http.StatusUnauthorized, "The key is wrong or was used before.")
	}
	if err := os.Remove(path); err != nil {
		return machineProblem(http.StatusInternalServerError, err.Error())
	}
	return c.giveMachineToken(q, "msi_res_id")
}

func (c *Cloud) arcChallenge() *reply {
	key := randomID()
	path := filepath.Join(c.opts.ArcKeys, randomID()+".key")
	if err := os.WriteFile(path, []byte(key), 0o640); err != nil {
		return machineProblem(http.StatusInternalServerError, err.Error())
	}
	c.mu.Lock()
	c.arcKeys[key] = path
	c.mu.Unlock()
	p := machineProblem(http.StatusUnauthorized, "Show the key of the file.")
	p.header.Set("WWW-Authenticate", "Basic realm="+path)
	return p
}

// giveMachineToken gives a token of the identity that the query selects: by
// client, object or resource id, else the system-assigned one.
func (c *Cloud) giveMachineToken(q *request, resourceParameter string) *reply {
	query := q.http.URL.Query()
	resource := strings.TrimSuffix(query.Get("resource"), "/")
	if resource == "" {
		return machineProblem(http.StatusBadRequest, "The resource is missing.")
	}
	var selected func(*Identity) bool
	echo := [2]string{}
	for name, is := range map[string]func(*Identity) string{
		"client_id":       func(o *Identity) string { return o.ClientID },
		"object_id":       func(o *Identity) string { return o.ObjectID },
		resourceParameter: func(o *Identity) string { return o.ResourceID },
	} {
		if want := query.Get(name); want != "" {
			echo = [2]string{name, want}
			selected = func(o *Identity) bool { return o.ResourceID != "" && strings.EqualFold(is(o), want) }
		}
	}
	if selected == nil {
		selected = func(o *Identity) bool { return o.System }
	}
	id, known := c.identity(selected)
	if !known {
		return machineProblem(http.StatusBadRequest,
			"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.")
	}
	c.identify(q.call, id.ClientID)
	token, expires, err := c.mint(id, resource)
	if err != nil {
		return machineProblem(http.StatusInternalServerError, err.Error())
	}
	doc := map[string]any{
		"access_token": token, "expires_on": fmt.Sprint(expires.Unix()), "resource": resource,
		"token_type": "Bearer", "client_id": id.ClientID,
	}
	if echo[0] != "" {
		doc[echo[0]] = echo[1]
	}
	return answer(http.StatusOK, doc)
}

func machineProblem(status int, why string) *reply {
	return answer(status, map[string]any{"statusCode": status, "message": why, "correlationId": randomID()})
}
