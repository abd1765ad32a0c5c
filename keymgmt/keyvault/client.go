package keyvault

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azlog "github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// Client is a Vault in this process: the values that it gets and writes pass
// through strings that are the garbage collector's. It implements Vault.
type Client struct {
	host  string // of the vault, for messages
	names map[Kind]string
	sdk   *azsecrets.Client
	http  *http.Transport
}

// Open makes the client of c. It reads c's files and makes no connection.
func Open(c Config) (*Client, error) {
	return open(c, (&net.Dialer{}).DialContext, nil)
}

// quiet keeps the SDK from printing answers to stderr, which
// AZURE_SDK_GO_LOGGING has it do.
var quiet = sync.OnceFunc(func() { azlog.SetListener(func(azlog.Event, string) {}) })

var secretName = regexp.MustCompile(`^[0-9A-Za-z-]{1,127}$`)

// open is Open with another way to dial and something around the vault's
// door, for tests.
func open(c Config, dial dialer, around func(policy.Transporter) policy.Transporter) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, faultf(Local, "vault %q is no vault's URL; accepted: as https://contoso.vault.azure.net", c.URL)
	}
	names := map[Kind]string{CAK: c.CAK, CKN: c.CKN}
	if c.PSK != "" {
		names = map[Kind]string{PSK: c.PSK}
	}
	if c.Certificate != "" {
		names = map[Kind]string{Certificate: c.Certificate}
	}
	for kind, name := range names {
		if !secretName.MatchString(name) {
			return nil, faultf(Local, "%s: %q is no secret's name; accepted: 1 to 127 letters, digits and dashes", kind, name)
		}
	}
	transport, err := way(c, u, dial)
	if err != nil {
		return nil, err
	}
	quiet()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	options := func(via policy.Transporter) azcore.ClientOptions {
		return azcore.ClientOptions{
			Transport: via,
			// The poller alone knows how long to wait, and for whom.
			Retry:     policy.RetryOptions{MaxRetries: -1},
			Telemetry: policy.TelemetryOptions{ApplicationID: "linkseal"},
		}
	}
	plain := c.Credential.Type == ManagedIdentity
	cred, err := c.Credential.open(u, options(&door{role: theAuthority, plain: plain, client: client}))
	if err != nil {
		return nil, err
	}
	var vault policy.Transporter = &door{role: theVault, host: u.Host, client: client}
	if around != nil {
		vault = around(vault)
	}
	sdk, err := azsecrets.NewClient(strings.TrimSuffix(c.URL, "/"), cred, &azsecrets.ClientOptions{
		ClientOptions: options(vault),
		// Of a host of no cloud of Microsoft's the challenge cannot match;
		// guarded holds what tokens may be for.
		DisableChallengeResourceVerification: cloudOf(u.Hostname()) < 0,
	})
	if err != nil {
		return nil, faultf(Local, "vault %s: %s", u.Host, printable(err.Error(), 200))
	}
	return &Client{host: u.Host, names: names, sdk: sdk, http: transport}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// kinds are those of this client's secrets, the CKN before the CAK: the order
// of writing.
func (c *Client) kinds() []Kind {
	for _, k := range []Kind{PSK, Certificate} {
		if c.names[k] != "" {
			return []Kind{k}
		}
	}
	return []Kind{CKN, CAK}
}

// Fetch implements Vault.
func (c *Client) Fetch(ctx context.Context, r Request) (*Answer, error) {
	versions, err := c.versions(ctx, false)
	if err != nil {
		return nil, err
	}
	a := &Answer{Versions: versions}
	for _, ref := range wanted(versions, r.Have, r.Now) {
		v, f := c.value(ctx, ref)
		switch {
		case f == nil:
			a.Values = append(a.Values, *v)
			continue
		case f.code == "SecretDisabled": // since it was listed
			continue
		case a.Fault == nil:
			a.Fault = f
		}
		if f.Kind == Unreachable || f.Kind == Throttled || f.Kind == ServerError || ctx.Err() != nil {
			break // the rest would fare no better
		}
	}
	return a, nil
}
