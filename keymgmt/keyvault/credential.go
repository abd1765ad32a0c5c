package keyvault

import (
	"bytes"
	"context"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/linkseal/linkseal/keymgmt/file"
)

// sovereign is a cloud of Microsoft's: where its vaults are, what tokens for
// them are for, and who gives them.
type sovereign struct {
	domain, resource string
	cloud            cloud.Configuration
}

var clouds = []sovereign{
	{"vault.azure.net", "https://vault.azure.net", cloud.AzurePublic},
	{"vault.azure.cn", "https://vault.azure.cn", cloud.AzureChina},
	{"vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net", cloud.AzureGovernment},
}

// cloudOf is the index in clouds of a vault's host; -1: none of them.
func cloudOf(host string) int {
	for i, c := range clouds {
		if strings.HasSuffix(strings.ToLower(host), "."+c.domain) {
			return i
		}
	}
	return -1
}

// open is the SDK's credential of c, over the options' transport. AZURE_AUTHORITY_HOST goes
// before the authority of the vault's cloud.
func (c Credential) open(vault *url.URL, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	discover := true
	if host := os.Getenv("AZURE_AUTHORITY_HOST"); host != "" {
		discover = microsofts(host)
	} else if i := cloudOf(vault.Hostname()); i >= 0 {
		options.Cloud = clouds[i].cloud
	}
	clientID, tenantID := or(c.ClientID, "AZURE_CLIENT_ID"), or(c.TenantID, "AZURE_TENANT_ID")
	var (
		cred azcore.TokenCredential
		err  error
	)
	switch c.Type {
	case ManagedIdentity:
		o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if c.ClientID != "" { // AZURE_CLIENT_ID is not this identity's
			o.ID = azidentity.ClientID(c.ClientID)
		}
		cred, err = azidentity.NewManagedIdentityCredential(o)
	case WorkloadIdentity:
		cred, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, ClientID: c.ClientID, TenantID: c.TenantID, DisableInstanceDiscovery: !discover,
		})
	case ClientCertificate:
		var pem []byte
		if pem, err = file.Read(c.File); err != nil {
			return nil, &Fault{Kind: Local, Text: err.Error()}
		}
		defer clear(pem)
		certs, key, perr := azidentity.ParseCertificates(pem, nil)
		if perr != nil {
			return nil, faultf(Local, "%s is no certificate with its private key; accepted: both in PEM, or PKCS#12 without a password", c.File)
		}
		cred, err = azidentity.NewClientCertificateCredential(tenantID, clientID, certs, key, &azidentity.ClientCertificateCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: !discover,
		})
	case ClientSecret:
		var text []byte
		if text, err = file.Read(c.File); err != nil {
			return nil, &Fault{Kind: Local, Text: err.Error()}
		}
		defer clear(text)
		secret := bytes.TrimSpace(text)
		if len(secret) == 0 {
			return nil, faultf(Local, "client secret file %s is empty; accepted: the secret's value", c.File)
		}
		cred, err = azidentity.NewClientSecretCredential(tenantID, clientID, string(secret), &azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: !discover,
		})
	default:
		return nil, faultf(Local, "credential type %q; accepted: %s, %s, %s, %s", c.Type, ManagedIdentity, WorkloadIdentity, ClientCertificate, ClientSecret)
	}
	if err != nil {
		return nil, faultf(Local, "credential %s cannot be used: %s; check client_id, tenant_id and the environment", c.Type, printable(err.Error(), 200))
	}
	return &guarded{c.Type, cred}, nil
}

// or is text, or the environment's if it is empty.
func or(text, variable string) string {
	if text == "" {
		return os.Getenv(variable)
	}
	return text
}

// microsofts tells that an authority is one of Microsoft's, which alone know
// each other: instance discovery asks them.
func microsofts(authority string) bool {
	u, err := url.Parse(authority)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(clouds, func(c sovereign) bool {
		own, err := url.Parse(c.cloud.ActiveDirectoryAuthorityHost)
		return err == nil && strings.EqualFold(u.Hostname(), own.Hostname())
	})
}

// guarded is a credential that gives tokens for key vaults alone: the vault's
// challenge names what the token is to be for, and may name anything.
type guarded struct {
	kind string
	cred azcore.TokenCredential
}

// GetToken implements azcore.TokenCredential.
func (g *guarded) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t := traceOf(ctx)
	for _, scope := range o.Scopes {
		resource := strings.TrimSuffix(strings.TrimSuffix(scope, "/.default"), "/")
		if !slices.ContainsFunc(clouds, func(c sovereign) bool { return resource == c.resource }) {
			return azcore.AccessToken{}, t.note(faultf(Lying, "the vault asks for a token for %.100q, which is no key vault; find out who answers for it", resource))
		}
	}
	if g.kind == WorkloadIdentity {
		if path := os.Getenv("AZURE_FEDERATED_TOKEN_FILE"); path != "" {
			if _, err := os.Stat(path); err != nil {
				return azcore.AccessToken{}, t.note(faultf(Local, "the token of the workload identity: %v; check AZURE_FEDERATED_TOKEN_FILE", err))
			}
		}
	}
	t.note(faultf(Unauthorised, "no token by credential %s; check its client_id, tenant_id and the environment", g.kind))
	token, err := g.cred.GetToken(ctx, o)
	if err != nil && t.met() == nil {
		t.note(faultf(Malformed, "the token endpoint's answer to credential %s cannot be used; check AZURE_AUTHORITY_HOST and IDENTITY_ENDPOINT", g.kind))
	}
	return token, err
}
