package azure

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// raw calls the vault by its address, with a token of the identity or with none.
func raw(t *testing.T, c *Cloud, method, path, clientID string) (status int, body string) {
	t.Helper()
	token := ""
	if clientID != "" {
		id, known := c.identity(byClientID(clientID))
		if !known {
			t.Fatalf("no identity %s", clientID)
		}
		var err error
		if token, _, err = c.mint(id, Resource); err != nil {
			t.Fatal(err)
		}
	}
	return withToken(t, c, method, path, token)
}

func withToken(t *testing.T, c *Cloud, method, path, token string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.AddressURL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	h := c.HTTPClient()
	defer h.CloseIdleConnections()
	p, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	octets, err := io.ReadAll(p.Body)
	if err := errors.Join(err, p.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return p.StatusCode, string(octets)
}

func TestClientSecret(t *testing.T) {
	c := start(t, Options{})
	set(t, client(t, c), "cak", "x")
	calls := c.Calls()
	if len(calls) < 3 || calls[0].Op != OpSet || calls[0].Status != 401 || calls[len(calls)-1].Client != AppID {
		t.Errorf("the calls are %+v: the first one has to be challenged", calls)
	}
	for _, k := range []struct{ id, secret, want string }{
		{AppID, "wrong", "AADSTS7000215"}, {"00000000-0000-0000-0000-000000000001", AppSecret, "AADSTS700016"},
		{SystemID, AppSecret, "AADSTS700016"},
	} {
		_, err := get(t.Context(), clientAs(t, c, credential(t, c, k.id, k.secret)), "cak", "")
		var failed *azidentity.AuthenticationFailedError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s with %q: %v, want %s", k.id, k.secret, err, k.want)
		}
	}
}

// By default a client asks first whether the authority is one.
func TestInstanceDiscovery(t *testing.T) {
	c := start(t, Options{})
	cred, err := azidentity.NewClientSecretCredential(Tenant, AppID, AppSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	set(t, clientAs(t, c, cred), "cak", "x")
	if c.Count(OpDiscovery) < 2 {
		t.Errorf("the calls are %+v: no instance discovery", c.Calls())
	}
}

func TestClientCertificate(t *testing.T) {
	registered, certPEM, keyPEM, err := NewCertificate("appliance", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	app := App()
	app.Certificates = []*x509.Certificate{registered}
	c := start(t, Options{Identities: []Identity{app}})
	certs, key, err := azidentity.ParseCertificates(append(certPEM, keyPEM...), nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &azidentity.ClientCertificateCredentialOptions{ClientOptions: options(t, c), DisableInstanceDiscovery: true}
	cred, err := azidentity.NewClientCertificateCredential(Tenant, AppID, certs, key, o)
	if err != nil {
		t.Fatal(err)
	}
	set(t, clientAs(t, c, cred), "cak", "x")

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	unknown, _, _, err := selfSigned("other", time.Now(), other)
	if err != nil {
		t.Fatal(err)
	}
	// The SDK checks that certificate and key match: a twin has the registered one's
	// octets and another key.
	twin := *unknown
	twin.Raw = registered.Raw
	for what, cert := range map[string]*x509.Certificate{"is not registered": unknown, "signature validation": &twin} {
		cred, err := azidentity.NewClientCertificateCredential(Tenant, AppID, []*x509.Certificate{cert}, other, o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = get(t.Context(), clientAs(t, c, cred), "cak", "")
		if err == nil || !strings.Contains(err.Error(), "AADSTS700027") || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func setenv(t *testing.T, env []string) {
	t.Helper()
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

func TestWorkloadIdentity(t *testing.T) {
	c := start(t, Options{})
	env, err := c.WorkloadEnv(t.TempDir(), AppID)
	if err != nil {
		t.Fatal(err)
	}
	setenv(t, env)
	o := options(t, c)
	o.Cloud.ActiveDirectoryAuthorityHost = "" // that of the environment
	fresh := func() *azidentity.WorkloadIdentityCredential {
		cred, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
		if err != nil {
			t.Fatal(err)
		}
		return cred
	}
	set(t, clientAs(t, c, fresh()), "cak", "x")

	app := App()
	app.Federated[0].Subject = "system:serviceaccount:other:other"
	c.Register(app)
	if _, err := get(t.Context(), clientAs(t, c, fresh()), "cak", ""); err == nil || !strings.Contains(err.Error(), "AADSTS700213") {
		t.Errorf("a subject that is not trusted: %v", err)
	}
	c.Register(App())
	path := os.Getenv("AZURE_FEDERATED_TOKEN_FILE")
	token, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(token), ".") + 1
	forged := string(token[:at]) + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, string(token[at:]))
	if err := os.WriteFile(path, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), clientAs(t, c, fresh()), "cak", ""); err == nil || !strings.Contains(err.Error(), "AADSTS700027") {
		t.Errorf("a forged token: %v", err)
	}
}

func TestManagedIdentity(t *testing.T) {
	const resourceID = "/subscriptions/1/resourcegroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/edge"
	user := Identity{
		ClientID: "3c4d5e6f-0000-4000-8000-000000000001", ObjectID: "3c4d5e6f-0000-4000-8000-000000000002",
		ResourceID: resourceID, Role: SecretsUser,
	}
	c := start(t, Options{Identities: []Identity{App(), System(), user}})
	setenv(t, c.Env())
	c.Put("cak", "x", nil, Attributes{})
	for _, k := range []struct {
		name string
		id   azidentity.ManagedIDKind
		want string
	}{
		{"system", nil, SystemID},
		{"client", azidentity.ClientID(user.ClientID), user.ClientID},
		{"object", azidentity.ObjectID(user.ObjectID), user.ClientID},
		{"resource", azidentity.ResourceID(resourceID), user.ClientID},
		{"unknown", azidentity.ClientID("3c4d5e6f-0000-4000-8000-000000000009"), ""},
		{"not of the machine", azidentity.ClientID(AppID), ""},
	} {
		t.Run(k.name, func(t *testing.T) {
			cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options(t, c), ID: k.id})
			if err != nil {
				t.Fatal(err)
			}
			_, err = get(t.Context(), clientAs(t, c, cred), "cak", "")
			if (err == nil) != (k.want != "") {
				t.Fatal(err)
			}
			calls := c.Calls()
			if got := calls[len(calls)-1].Client; got != k.want {
				t.Errorf("the vault saw %q, want %q", got, k.want)
			}
		})
	}
	t.Run("header", func(t *testing.T) {
		t.Setenv("IDENTITY_HEADER", "guessed")
		cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options(t, c)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}})
		if err == nil || !strings.Contains(err.Error(), "X-IDENTITY-HEADER") {
			t.Errorf("with a wrong header: %v", err)
		}
	})
}

func TestRoles(t *testing.T) {
	calls := map[Op][2]string{
		OpGet: {"GET", "/secrets/cak"}, OpVersions: {"GET", "/secrets/cak/versions"}, OpList: {"GET", "/secrets"},
		OpSet: {"PUT", "/secrets/cak"}, OpUpdate: {"PATCH", "/secrets/cak"}, OpDelete: {"DELETE", "/secrets/cak"},
		OpGetDeleted: {"GET", "/deletedsecrets/cak"}, OpListDeleted: {"GET", "/deletedsecrets"},
		OpRecover: {"POST", "/deletedsecrets/cak/recover"}, OpPurge: {"DELETE", "/deletedsecrets/cak"},
	}
	c := start(t, Options{})
	app := App()
	for op, call := range calls {
		for _, may := range []bool{true, false} {
			app.Role = actions[op].role
			if !may {
				app.Role = SecretsOfficer &^ actions[op].role
			}
			c.Register(app)
			status, body := raw(t, c, call[0], call[1]+"?api-version=7.6", AppID)
			if (status == http.StatusForbidden) == may {
				t.Errorf("%s, allowed %v: %d %s", op, may, status, body)
			}
			if !may && (!strings.Contains(body, "ForbiddenByRbac") || !strings.Contains(body, actions[op].name)) {
				t.Errorf("%s: %s", op, body)
			}
		}
	}
	if n := c.Count(AnyVault); n != 2*len(calls) {
		t.Errorf("%d calls were noted, want %d", n, 2*len(calls))
	}
}

func TestTokens(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := start(t, Options{Now: func() time.Time { return now }})
	c.Put("cak", "x", nil, Attributes{})
	mint := func(id Identity, resource string) string {
		token, _, err := c.mint(id, resource)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := mint(App(), Resource)
	other, _ := compose("HS256", claims{Audience: Resource, Issuer: issuer, Expires: now.Unix() + 60, AppID: AppID}, mac([]byte("guessed")))
	none, _ := compose("none", claims{Audience: Resource, Issuer: issuer, Expires: now.Unix() + 60, AppID: AppID},
		func([]byte) ([]byte, error) { return nil, nil })
	abroad, _ := compose("HS256", claims{Audience: Resource, Issuer: "https://sts.windows.net/other/", Expires: now.Unix() + 60, AppID: AppID}, mac(tokenKey))
	check := func(what, token, want string) {
		t.Helper()
		status, body := withToken(t, c, http.MethodGet, "/secrets/cak?api-version=7.6", token)
		if want == "" && status != 200 || want != "" && (status != 401 || !strings.Contains(body, want)) {
			t.Errorf("%s: %d %s, want %q", what, status, body, want)
		}
	}
	check("a good token", good, "")
	check("no token", "", "AKV10000")
	check("no JWT", "x.y", "AKV10001")
	check("another key", other, "AKV10046")
	check("no signature", none, "AKV10046")
	check("another resource", mint(App(), "https://management.azure.com"), "AKV10022")
	check("another tenant", abroad, "AKV10032")
	check("unknown identity", mint(Identity{ClientID: "x"}, Resource), "AKV10047")
	now = now.Add(time.Hour)
	check("an expired one", good, "AKV10023")
}

func TestAuthorityRefuses(t *testing.T) {
	c := start(t, Options{})
	o := options(t, c)
	for tenant, want := range map[string]string{"3c4d5e6f-0000-4000-8000-00000000000a": "AADSTS90002", Tenant: "AADSTS500011"} {
		cred, err := azidentity.NewClientSecretCredential(tenant, AppID, AppSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://unknown.example/.default"}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tenant %s: %v, want %s", tenant, err, want)
		}
	}
}

// By its name each service has only its own addresses.
func TestHosts(t *testing.T) {
	c := start(t, Options{Vault: "Edge"})
	h := c.HTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	const secrets, discovery = "/secrets?api-version=7.6", "/" + Tenant + "/v2.0/.well-known/openid-configuration"
	for _, k := range []struct {
		host, path string
		status     int
	}{
		{"edge.vault.azure.net", secrets, 401}, {"edge.vault.azure.net", discovery, 404},
		{"other.vault.azure.net", secrets, 404}, {authorityHost, secrets, 404}, {authorityHost, discovery, 200},
		{"localhost", secrets, 401}, {"localhost", discovery, 200}, {"localhost", "/secrets/a/b/c", 404}, {"localhost", "/", 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.AddressURL()+k.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = k.host
		p, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if p.StatusCode != k.status {
			t.Errorf("https://%s%s: %d, want %d", k.host, k.path, p.StatusCode, k.status)
		}
		if challenge := p.Header.Get("WWW-Authenticate"); k.status == 401 &&
			!strings.HasPrefix(challenge, `Bearer authorization="https://`) || k.status != 401 && challenge != "" {
			t.Errorf("https://%s%s: the challenge is %q", k.host, k.path, challenge)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Vault: "ab"}, {Vault: "a_b"}, {Vault: strings.Repeat("v", 25)}, {PageSize: 26}, {PageSize: -1}} {
		if c, err := Start(o); err == nil {
			t.Errorf("%+v was taken", o)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
