package azure

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// In a bubble a day passes at once, tokens expire, and the client gets new ones,
// from the authority by Microsoft's name.
func TestBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(Options{
			Listener: NewPipe(netip.MustParseAddrPort("127.0.0.1:443")),
			Metadata: NewPipe(netip.MustParseAddrPort("127.0.0.1:80")),
		})
		if err != nil {
			t.Fatal(err)
		}
		o := options(t, c)
		h := o.Transport.(*http.Client)
		o.Cloud = cloud.AzurePublic
		cred, err := azidentity.NewClientSecretCredential(Tenant, AppID, AppSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: o})
		if err != nil {
			t.Fatal(err)
		}
		s, err := azsecrets.NewClient(c.URL(), cred, &azsecrets.ClientOptions{ClientOptions: o})
		if err != nil {
			t.Fatal(err)
		}
		c.Put("cak", "x", nil, Attributes{})
		for range 24 {
			if _, err := get(t.Context(), s, "cak", ""); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		if n := c.Count(OpToken); n != 24 {
			t.Errorf("%d tokens in a day, want one an hour", n)
		}
		begun := time.Now()
		end := c.Inject(Fault{Op: OpGet, Effect: Delay(time.Minute)})
		if _, err := get(t.Context(), s, "cak", ""); err != nil || time.Since(begun) != time.Minute {
			t.Errorf("late by %v, %v", time.Since(begun), err)
		}
		end()
		if err := c.Refuse(true); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), s, "cak", ""); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("in an outage: %v", err)
		}
		if err := c.Refuse(false); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), s, "cak", ""); err != nil {
			t.Errorf("after an outage: %v", err)
		}
		h.CloseIdleConnections()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The service speaks HTTP/2 too; there a fault ends the stream.
func TestHTTP2(t *testing.T) {
	c := start(t, Options{})
	c.Put("cak", "x", nil, Attributes{})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA())
	h := &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: true, DialContext: c.Dial, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	t.Cleanup(h.CloseIdleConnections)
	o := options(t, c)
	o.Transport = h
	s, err := azsecrets.NewClient(c.URL(), credential(t, c, AppID, AppSecret), &azsecrets.ClientOptions{ClientOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), s, "cak", ""); err != nil {
		t.Fatal(err)
	}
	for _, e := range []Effect{Reset(), Truncate()} {
		end := c.Inject(Fault{Op: OpGet, Effect: e})
		if _, err := get(t.Context(), s, "cak", ""); err == nil || !strings.Contains(err.Error(), "stream error") {
			t.Errorf("%s: %v", e.Name, err)
		}
		end()
	}
}

// All at once, for the race detector: writers, readers, faults, outages.
func TestConcurrent(t *testing.T) {
	c := start(t, Options{PageSize: 2})
	var all sync.WaitGroup
	for i := range 4 {
		s := client(t, c)
		all.Go(func() {
			for range 5 {
				value := "x"
				_, err := s.SetSecret(t.Context(), "cak", azsecrets.SetSecretParameters{Value: &value}, nil)
				if err != nil && i%2 == 0 && !strings.Contains(err.Error(), "Throttled") {
					t.Error(err)
				}
				if _, _, err := versions(t.Context(), s, "cak"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Go(func() {
		for range 20 {
			end := c.Inject(Fault{Op: OpSet, Times: 1, Effect: Status(429, 0)})
			c.Edit("cak", "", func(v *Version) { v.Tags = map[string]string{"n": "1"} })
			c.Calls()
			c.Secret("cak")
			c.Register(App())
			end()
		}
	})
	all.Wait()
	got, _ := c.Secret("cak")
	failed := 0
	for _, call := range c.Calls() {
		if call.Status == 429 {
			failed++
		}
	}
	if len(got.Versions)+failed != 20 {
		t.Errorf("%d versions and %d failures, want 20 together", len(got.Versions), failed)
	}
}
