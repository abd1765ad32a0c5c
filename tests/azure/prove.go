package azure

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const bearerAssertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// skew is how far the authority lets clocks be apart.
const skew = 5 * time.Minute

// prove is nil if the form shows that it is from the identity.
func (c *Cloud) prove(q *request, id Identity, form url.Values) *reply {
	if secret := form.Get("client_secret"); secret != "" {
		if slices.ContainsFunc(id.Secrets, func(s string) bool {
			return subtle.ConstantTimeCompare([]byte(s), []byte(secret)) == 1
		}) {
			return nil
		}
		return denied(http.StatusUnauthorized, "invalid_client", 7000215,
			"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '"+id.ClientID+"'.")
	}
	assertion := form.Get("client_assertion")
	if assertion == "" || form.Get("client_assertion_type") != bearerAssertion {
		return denied(http.StatusUnauthorized, "invalid_client", 7000218,
			"The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	t, err := parseJWT(assertion)
	if err != nil {
		return denied(http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed: "+err.Error())
	}
	if strings.EqualFold(t.claims.Issuer, id.ClientID) {
		return c.proveCertificate(q, id, t)
	}
	return c.proveFederated(id, t)
}

// proveCertificate takes an assertion that the application made itself.
func (c *Cloud) proveCertificate(q *request, id Identity, t *jwt) *reply {
	at := slices.IndexFunc(id.Certificates, func(x *x509.Certificate) bool { return t.namesCertificate(x.Raw) })
	if at < 0 {
		return denied(http.StatusUnauthorized, "invalid_client", 700027,
			"The certificate with identifier used to sign the client assertion is not registered on application.")
	}
	key, ok := id.Certificates[at].PublicKey.(*rsa.PublicKey)
	if !ok || t.verifyRSA(key) != nil {
		return denied(http.StatusUnauthorized, "invalid_client", 700027, "Client assertion failed signature validation.")
	}
	if t.claims.Subject != t.claims.Issuer {
		return denied(http.StatusUnauthorized, "invalid_client", 700021, "Client assertion 'sub' and 'iss' differ.")
	}
	if want := q.base() + q.http.URL.Path; t.claims.Audience != want {
		return denied(http.StatusUnauthorized, "invalid_client", 700023,
			"Client assertion audience claim does not match Realm issuer.")
	}
	return c.inTime(t)
}

// proveFederated takes a token of an issuer that the application trusts.
func (c *Cloud) proveFederated(id Identity, t *jwt) *reply {
	is := Federation{t.claims.Issuer, t.claims.Subject, t.claims.Audience}
	if !slices.Contains(id.Federated, is) {
		return denied(http.StatusBadRequest, "invalid_client", 700213, fmt.Sprintf(
			"No matching federated identity record found for presented assertion subject '%s'.", t.claims.Subject))
	}
	key, err := workloadKey()
	if err != nil || t.verifyRSA(&key.PublicKey) != nil {
		return denied(http.StatusUnauthorized, "invalid_client", 700027, "Client assertion failed signature validation.")
	}
	return c.inTime(t)
}

func (c *Cloud) inTime(t *jwt) *reply {
	now := c.now()
	if now.After(time.Unix(t.claims.Expires, 0).Add(skew)) || now.Before(time.Unix(t.claims.NotBefore, 0).Add(-skew)) {
		return denied(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range.")
	}
	return nil
}

// workloadKey signs federated tokens: that of the issuer of WorkloadFederation.
var workloadKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// FederatedToken is what AKS puts into a pod's token file: good for an hour, for
// identities that trust WorkloadFederation.
func (c *Cloud) FederatedToken() (string, error) {
	key, err := workloadKey()
	if err != nil {
		return "", fmt.Errorf("the workload issuer's key: %w", err)
	}
	now := c.now()
	return compose("RS256", claims{
		Audience: WorkloadFederation.Audience, Issuer: WorkloadFederation.Issuer, Subject: WorkloadFederation.Subject,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(time.Hour).Unix(), ID: randomID(),
	}, func(signed []byte) ([]byte, error) {
		digest := sha256.Sum256(signed)
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	})
}
