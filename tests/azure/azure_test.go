package azure

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func start(t *testing.T, o Options) *Cloud {
	t.Helper()
	c, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return c
}

// options are of clients that trust the cloud and do not retry.
func options(t *testing.T, c *Cloud) azcore.ClientOptions {
	h := c.HTTPClient()
	t.Cleanup(h.CloseIdleConnections)
	return azcore.ClientOptions{
		Transport: h, Retry: policy.RetryOptions{MaxRetries: -1},
		Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: c.Authority()},
	}
}

// client reaches the vault by its name, as the application App.
func client(t *testing.T, c *Cloud) *azsecrets.Client {
	t.Helper()
	return clientAs(t, c, credential(t, c, AppID, AppSecret))
}

func credential(t *testing.T, c *Cloud, id, secret string) azcore.TokenCredential {
	t.Helper()
	cred, err := azidentity.NewClientSecretCredential(Tenant, id, secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options(t, c), DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func clientAs(t *testing.T, c *Cloud, cred azcore.TokenCredential) *azsecrets.Client {
	t.Helper()
	s, err := azsecrets.NewClient(c.URL(), cred, &azsecrets.ClientOptions{ClientOptions: options(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// set writes a secret by a call and returns its version.
func set(t *testing.T, s *azsecrets.Client, name, value string) string {
	t.Helper()
	r, err := s.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: &value}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.ID.Version()
}

// get is the value of a version, the latest if it is "".
func get(ctx context.Context, s *azsecrets.Client, name, version string) (string, error) {
	r, err := s.GetSecret(ctx, name, version, nil)
	if err != nil {
		return "", err
	}
	return *r.Value, nil
}

// versions lists a secret's version ids, page by page, and counts the pages.
func versions(ctx context.Context, s *azsecrets.Client, name string) (ids []string, pages int, err error) {
	for p := s.NewListSecretPropertiesVersionsPager(name, nil); p.More(); pages++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			return ids, pages, err
		}
		for _, v := range page.Value {
			ids = append(ids, v.ID.Version())
		}
	}
	return ids, pages, nil
}

// wantError checks that err is the service's, with this status and code.
func wantError(t *testing.T, err error, status int, code string) {
	t.Helper()
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.StatusCode != status || re.ErrorCode != code {
		t.Errorf("the error is %v, want %d %s", err, status, code)
	}
}
