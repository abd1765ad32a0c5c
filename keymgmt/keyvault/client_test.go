package keyvault

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/azure"
)

// azureCloud is a local one on loopback, with the environment that leads there, and
// the configuration of its vault.
func azureCloud(t *testing.T, o azure.Options) (*azure.Cloud, Config) {
	t.Helper()
	c, err := azure.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, e := range c.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	return c, configOf(t, c)
}

func configOf(t *testing.T, c *azure.Cloud) Config {
	t.Helper()
	return Config{
		URL: c.URL(), Endpoint: c.Endpoint(), CA: write(t, "ca.pem", string(c.CA())), CAK: "link1-cak", CKN: "link1-ckn",
		Credential: Credential{Type: ClientSecret, ClientID: azure.AppID, TenantID: azure.Tenant, File: write(t, "secret", azure.AppSecret+"\n")},
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func client(t *testing.T, c Config) *Client {
	t.Helper()
	v, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// put writes a pair into the vault by its back door; n gives it its values.
func put(c *azure.Cloud, pair string, n byte, a azure.Attributes) (cak, ckn string) {
	tags := map[string]string{tagPair: pair}
	return c.Put("link1-cak", cakOf(n), tags, a), c.Put("link1-ckn", strings.Repeat(fmt.Sprintf("%02x", n), 32), tags, a)
}

// cakOf is 32 octets in hex that occur nowhere else.
func cakOf(n byte) string {
	return hex.EncodeToString([]byte(strings.Repeat(fmt.Sprintf("k%02x.", n), 8)))
}

func TestFetch(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{PageSize: 2})
	now := time.Now()
	put(c, "old", 1, azure.Attributes{Expires: now.Add(-25 * time.Hour)})
	put(c, "off", 2, azure.Attributes{Disabled: true})
	a1, a2 := put(c, "a", 3, azure.Attributes{NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Hour)})
	b1, _ := put(c, "b", 4, azure.Attributes{})
	v := client(t, cfg)
	a, err := v.Fetch(t.Context(), Request{Have: []Ref{{CAK, a1}, {CKN, a2}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Versions) != 8 || len(a.Values) != 2 || a.Fault != nil {
		t.Fatalf("%d versions, %v, %v", len(a.Versions), a.Values, a.Fault)
	}
	for _, v := range a.Values {
		if v.Ref == (Ref{CAK, b1}) && hex.EncodeToString(v.Octets.Bytes()) != cakOf(4) {
			t.Error("another value")
		}
	}
	for _, v := range a.Versions {
		if v.ID == a1 && (v.Pair != "a" || !v.Enabled || v.Expires != now.Add(time.Hour).UTC().Truncate(time.Second)) {
			t.Errorf("%+v", v)
		}
	}
	if n := c.Count(azure.OpVersions); n < 4 {
		t.Errorf("%d calls for 2 secrets of 4 versions, in pages of 2", n)
	}
	cfg.CAK, cfg.CKN, cfg.PSK = "", "", "site"
	c.Put("site", "a good word\n", nil, azure.Attributes{})
	a, err = client(t, cfg).Fetch(t.Context(), Request{Now: now})
	if err != nil || len(a.Values) != 1 || string(a.Values[0].Octets.Bytes()) != "a good word" {
		t.Errorf("%v, %v", a, err)
	}
	cfg.PSK = "nothing"
	if a, err = client(t, cfg).Fetch(t.Context(), Request{Now: now}); err != nil || len(a.Versions) != 0 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestCredentials(t *testing.T) {
	cert, certPEM, keyPEM, err := azure.NewCertificate("linkseal", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	app := azure.App()
	app.Certificates = append(app.Certificates, cert)
	user := azure.Identity{ClientID: "11111111-2222-4333-8444-555555555555", ObjectID: "21111111-2222-4333-8444-555555555555", ResourceID: "/x", Role: azure.SecretsUser}
	c, cfg := azureCloud(t, azure.Options{Identities: []azure.Identity{app, azure.System(), user}})
	put(c, "a", 1, azure.Attributes{})
	federated, err := c.WorkloadEnv(t.TempDir(), azure.AppID)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		cred Credential
		env  []string
		who  string
	}{
		{"managed identity, system", Credential{Type: ManagedIdentity}, nil, azure.SystemID},
		{"managed identity, user", Credential{Type: ManagedIdentity, ClientID: user.ClientID}, nil, user.ClientID},
		{"workload identity", Credential{Type: WorkloadIdentity}, federated, azure.AppID},
		{"client secret", cfg.Credential, nil, azure.AppID},
		{"client secret, ids of the environment", Credential{Type: ClientSecret, File: cfg.Credential.File}, []string{"AZURE_CLIENT_ID=" + azure.AppID}, azure.AppID},
		{"client certificate", Credential{Type: ClientCertificate, ClientID: azure.AppID, TenantID: azure.Tenant, File: write(t, "c.pem", string(certPEM)+string(keyPEM))}, nil, azure.AppID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, e := range tc.env {
				name, value, _ := strings.Cut(e, "=")
				t.Setenv(name, value)
			}
			c.ResetCalls()
			cfg.Credential = tc.cred
			if a, err := client(t, cfg).Fetch(t.Context(), Request{Now: time.Now()}); err != nil || len(a.Values) != 2 {
				t.Fatalf("%v, %v", a, err)
			}
			calls := c.Calls()
			if who := calls[len(calls)-1].Client; who != tc.who {
				t.Errorf("it was %s, want %s", who, tc.who)
			}
		})
	}
}

// What this machine lacks is told before anything is sent.
func TestOpenRefuses(t *testing.T) {
	c, good := azureCloud(t, azure.Options{})
	block, _ := pem.Decode(c.CA())
	for _, tc := range []struct {
		name string
		edit func(*Config)
		want string
	}{
		{"http", func(c *Config) { c.URL = "http://x.vault.azure.net" }, "accepted: as https://"},
		{"name", func(c *Config) { c.CAK = "a/b" }, "no secret's name"},
		{"no CA", func(c *Config) { c.CA = "/nowhere" }, "/nowhere: no such file"},
		{"CA in DER", func(c *Config) { c.CA = write(t, "ca.der", string(block.Bytes)) }, "has no certificate"},
		{"endpoint", func(c *Config) { c.Endpoint = "host" }, "is no IP address"},
		{"type", func(c *Config) { c.Credential.Type = "password" }, "accepted: managed-identity"},
		{"mode", func(c *Config) { os.Chmod(c.Credential.File, 0o640) }, "has mode 0640; accepted: mode 0600 or stricter"},
		{"empty", func(c *Config) { c.Credential.File = write(t, "secret", "\n") }, "is empty"},
		{"no certificate", func(c *Config) { c.Credential.Type = ClientCertificate }, "no certificate with its private key"},
		{"no tenant", func(c *Config) { t.Setenv("AZURE_TENANT_ID", ""); c.Credential.TenantID = "" }, "cannot be used: invalid tenantID"},
		{"no token file", func(c *Config) { c.Credential = Credential{Type: WorkloadIdentity, ClientID: "x"} }, "no token file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := good
			cfg.Credential.File = write(t, "secret", azure.AppSecret)
			tc.edit(&cfg)
			_, err := Open(cfg)
			var f *Fault
			if !errors.As(err, &f) || f.Kind != Local || !strings.Contains(f.Text, tc.want) || strings.Contains(f.Text, azure.AppSecret) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if n := c.Count(azure.AnyOp); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// held are what must be in no message: values, whole or in part.
var held = regexp.MustCompile(`6b30[0-9a-f]{6}|k0.\.k0|lab~not`)

func TestFaults(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	ref, _ := put(c, "a", 1, azure.Attributes{})
	other, _ := put(c, "b", 2, azure.Attributes{})
	for _, tc := range []struct {
		name  string
		op    azure.Op
		with  azure.Effect
		kind  FaultKind
		text  string
		after time.Duration
	}{
		{"throttled", azure.OpVersions, azure.Status(429, 17*time.Second), Throttled, "answered 429 (Throttled) to list the versions of secret link1-ckn", 17 * time.Second},
		{"401", azure.OpVersions, azure.Status(401, 0), Unauthorised, "answered 401 (Unauthorized)", 0},
		{"403", azure.OpVersions, azure.Status(403, 0), Forbidden, "answered 403 (ForbiddenByFirewall)", 0},
		{"404", azure.OpVersions, azure.Status(404, 0), NotFound, "answered 404 (SecretNotFound)", 0},
		{"500", azure.OpGet, azure.Status(500, 0), ServerError, "answered 500 (InternalServerError) to get version", 0},
		{"503", azure.OpVersions, azure.Status(503, time.Minute), ServerError, "answered 503", time.Minute},
		{"302", azure.OpVersions, azure.Status(302, 0), ServerError, "answered 302", 0},
		{"reset", azure.OpVersions, azure.Reset(), Unreachable, "connection", 0},
		{"truncated", azure.OpGet, azure.Truncate(), Unreachable, "connection", 0},
		{"garbage", azure.OpVersions, azure.Garbage(), Malformed, "is not what a key vault answers", 0},
		{"garbage for a value", azure.OpGet, azure.Garbage(), Malformed, "is not what a key vault answers", 0},
		{"huge", azure.OpGet, azure.Huge(maxBody), Malformed, "sent more than 262144 octets", 0},
		{"endless", azure.OpVersions, azure.Endless(), Lying, "has no end", 0},
		{"wrong id", azure.OpGet, azure.WrongID(other + "0"), Lying, "answered with another version", 0},
		{"no id", azure.OpGet, azure.Rewrite("no id", func(_ *azure.Cloud, _ azure.Call, doc map[string]any) { delete(doc, "id") }), Malformed, "has no id or no value", 0},
		{"bad id in a list", azure.OpVersions, azure.Rewrite("bad id", func(_ *azure.Cloud, _ azure.Call, doc map[string]any) {
			doc["value"].([]any)[0].(map[string]any)["id"] = "https://x/secrets/link1-cak/" + cakOf(1) + "\n"
		}), Lying, "lists something else", 0},
		{"a list that leads away", azure.OpVersions, azure.Rewrite("away", func(_ *azure.Cloud, _ azure.Call, doc map[string]any) {
			doc["nextLink"] = "https://evil.vault.azure.net/secrets/link1-cak/versions?api-version=7.5"
		}), Lying, `leads to another host, "evil.vault.azure.net"`, 0},
		{"times that are none", azure.OpVersions, azure.Rewrite("times", func(_ *azure.Cloud, _ azure.Call, doc map[string]any) {
			doc["value"].([]any)[0].(map[string]any)["attributes"].(map[string]any)["exp"] = cakOf(1)
		}), Malformed, "is not what a key vault answers", 0},
		{"no token", azure.OpToken, azure.Status(401, 0), Unauthorised, "AADSTS7000215", 0},
		{"token endpoint down", azure.OpToken, azure.Status(503, 30*time.Second), ServerError, "token endpoint", 30 * time.Second},
		{"token endpoint throttles", azure.OpToken, azure.Status(429, 0), Throttled, "token endpoint", 0},
		{"token endpoint resets", azure.OpToken, azure.Reset(), Unreachable, "token endpoint", 0},
		{"token endpoint's garbage", azure.OpToken, azure.Garbage(), Malformed, "the token endpoint's answer", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer c.Inject(azure.Fault{Op: tc.op, Effect: tc.with})()
			a, err := client(t, cfg).Fetch(t.Context(), Request{Now: time.Now()})
			f := asFault(err)
			if tc.op == azure.OpGet && err == nil {
				f = a.Fault
				a.Zero()
			}
			if f == nil || f.Kind != tc.kind || !strings.Contains(f.Text, tc.text) || f.RetryAfter != tc.after {
				t.Fatalf("%+v\nwant %s, %q, %v", f, tc.kind, tc.text, tc.after)
			}
			if held.MatchString(f.Text) || len(f.Text) > 500 || strings.Contains(f.Text, "\n") {
				t.Errorf("it says %q", f.Text)
			}
		})
	}
	// One version that cannot be read keeps no other back, nor does one that
	// was disabled since it was listed.
	for effect, want := range map[*azure.Effect]FaultKind{ptr(azure.Status(403, 0)): Forbidden, ptr(azure.Garbage()): Malformed} {
		end := c.Inject(azure.Fault{Op: azure.OpGet, Times: 1, Effect: *effect})
		a, err := client(t, cfg).Fetch(t.Context(), Request{Now: time.Now()})
		if err != nil || len(a.Values) != 3 || a.Fault == nil || a.Fault.Kind != want {
			t.Errorf("%v, %v", a, err)
		}
		end()
	}
	c.Disable("link1-cak", ref)
	v := client(t, cfg)
	if _, f := v.value(t.Context(), Ref{CAK, ref}); f == nil || f.Kind != Forbidden || f.code != "SecretDisabled" {
		t.Errorf("%v", f)
	}
	slow, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	defer c.Inject(azure.Fault{Op: azure.OpVersions, Effect: azure.Hang()})()
	if _, err := v.Fetch(slow, Request{Now: time.Now()}); asFault(err).Kind != Unreachable {
		t.Errorf("a vault that hangs: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// The vault's challenge decides what the token is for: it must be for a vault.
func TestChallenge(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	put(c, "a", 1, azure.Attributes{})
	for _, tc := range []struct {
		name, header string
		kind         FaultKind
	}{
		{"for another service", `Bearer authorization="https://login.microsoftonline.com/` + azure.Tenant + `", resource="https://management.azure.com"`, Lying},
		{"no authority", `Bearer authorization="x", resource="https://vault.azure.net"`, Unauthorised},
		{"split", `authBearer orization=x resource="https://vault.azure.net"`, Unauthorised},
		{"no resource", `Bearer authorization="https://login.microsoftonline.com/x"`, Unauthorised},
		{"another tenant", `Bearer authorization="https://login.microsoftonline.com/x", resource="https://vault.azure.net"`, Unauthorised},
		{"none", "", Unauthorised},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := cfg
			cfg.URL, cfg.Endpoint = c.AddressURL(), "" // a host of nobody's cloud
			v, err := open(cfg, c.Dial, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			// Between the vault and the door stands somebody.
			v.http.RegisterProtocol("https", challenger{v.http.Clone(), tc.header})
			_, err = v.Fetch(t.Context(), Request{Now: time.Now()})
			if f := asFault(err); f == nil || f.Kind != tc.kind {
				t.Errorf("%+v, want %s", f, tc.kind)
			}
		})
	}
	if n := c.Count(azure.OpToken); n != 0 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// challenger answers every request for a secret with the challenge.
type challenger struct {
	http.RoundTripper
	header string
}

func (c challenger) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/secrets/") {
		return c.RoundTripper.RoundTrip(r)
	}
	resp := &http.Response{StatusCode: 401, Header: http.Header{}, Body: http.NoBody, Request: r, ProtoMajor: 1}
	if c.header != "" {
		resp.Header.Set("WWW-Authenticate", c.header)
	}
	return resp, nil
}
