package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

const (
	vaultDomain   = ".vault.azure.net"
	authorityHost = "login.microsoftonline.com"
	// Resource is what tokens for a vault are for.
	Resource = "https://vault.azure.net"
	// Tenant is the directory that all identities are in.
	Tenant = "5f2a1c6e-0b8d-4f3e-9a47-c1d2e3f40516"
)

// URL is the vault's, by its name: https://NAME.vault.azure.net. Whoever uses it
// has to dial Endpoint.
func (c *Cloud) URL() string { return "https://" + c.host }

// Endpoint is the address, host:port, that vault and authority listen on.
func (c *Cloud) Endpoint() string { return c.main.Addr().String() }

// AddressURL is the vault's by its address; there the client's check of the
// challenge's resource has to be off.
func (c *Cloud) AddressURL() string { return "https://" + c.Endpoint() }

// Authority is the authority's URL, as AZURE_AUTHORITY_HOST wants it.
func (c *Cloud) Authority() string { return "https://" + c.Endpoint() + "/" }

// CA is the certificate, PEM, that vault and authority are to be trusted by.
func (c *Cloud) CA() []byte { return c.pki.ca }

// Env is the environment in which the standard clients find this cloud: the
// authority, the tenant and, where there is one, App Service's managed identity.
func (c *Cloud) Env() []string {
	env := []string{"AZURE_AUTHORITY_HOST=" + c.Authority(), "AZURE_TENANT_ID=" + Tenant}
	if c.metadata != nil {
		env = append(env,
			"IDENTITY_ENDPOINT=http://"+c.metadata.Addr().String()+appServicePath,
			"IDENTITY_HEADER="+c.header)
	}
	return env
}

// ArcEnv is Env with Azure Arc's managed identity in place of App Service's, if
// Options.ArcKeys switched it on.
func (c *Cloud) ArcEnv() []string {
	if c.metadata == nil || c.opts.ArcKeys == "" {
		return c.Env()[:2]
	}
	at := "http://" + c.metadata.Addr().String()
	return append(c.Env()[:2:2], "IDENTITY_ENDPOINT="+at+arcPath, "IMDS_ENDPOINT="+at)
}

// WorkloadEnv writes a federated token into folder, readable by
// its owner only, and returns Env with what AKS's webhook adds for it.
func (c *Cloud) WorkloadEnv(folder, clientID string) ([]string, error) {
	token, err := c.FederatedToken()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "azure-identity-token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		return nil, err
	}
	return append(c.Env(), "AZURE_CLIENT_ID="+clientID, "AZURE_FEDERATED_TOKEN_FILE="+path), nil
}

// Dial connects to this cloud whatever the address says: to the managed identity
// if it is that one's, else to vault and authority.
func (c *Cloud) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	to := c.main
	if c.metadata != nil && address == c.metadata.Addr().String() {
		to = c.metadata
	}
	if d, ok := to.Listener.(interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	}); ok {
		return d.DialContext(ctx, "tcp", address)
	}
	return new(net.Dialer).DialContext(ctx, to.Addr().Network(), to.Addr().String())
}

// HTTPClient trusts this cloud and dials nothing else. Close its idle
// connections before the end of a synctest bubble.
func (c *Cloud) HTTPClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA())
	return &http.Client{Transport: &http.Transport{
		DialContext: c.Dial, TLSClientConfig: &tls.Config{RootCAs: roots, Time: c.opts.Now},
	}}
}
