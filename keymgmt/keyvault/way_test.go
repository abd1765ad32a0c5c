package keyvault

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/linkseal/linkseal/tests/azure"
)

// A vault of nobody's cloud, by its address: the CA is ours, the challenge
// cannot match the host.
func TestByAddress(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	put(c, "a", 1, azure.Attributes{})
	cfg.URL, cfg.Endpoint = c.AddressURL()+"/", ""
	if a, err := client(t, cfg).Fetch(t.Context(), Request{Now: time.Now()}); err != nil || len(a.Values) != 2 {
		t.Errorf("%v, %v", a, err)
	}
	cfg.CA = ""
	if _, err := client(t, cfg).Fetch(t.Context(), Request{}); asFault(err).Kind != Unreachable || !strings.Contains(err.Error(), "of an unknown authority (`ca:` names") {
		t.Errorf("without the CA: %v", err)
	}
}

// proxy is an HTTP proxy that takes every connection to the cloud. seen are the
// hosts that it was asked for since the last call.
func proxy(t *testing.T, c *azure.Cloud) (url string, seen func() []string) {
	var mu sync.Mutex
	hosts := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT alone", http.StatusBadRequest)
			return
		}
		mu.Lock()
		hosts[r.Host] = true
		mu.Unlock()
		to, err := net.Dial("tcp", c.Endpoint())
		if err != nil {
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		defer to.Close()
		// The answer comes after it: of what follows that, the server would read
		// an octet.
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(to, from)
		io.Copy(from, to)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		all := slices.Sorted(maps.Keys(hosts))
		clear(hosts)
		return all
	}
}

func TestProxy(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	put(c, "a", 1, azure.Attributes{})
	t.Setenv("AZURE_AUTHORITY_HOST", "") // Microsoft's, through the proxy too
	at, seen := proxy(t, c)
	cfg.Endpoint, cfg.Proxy = "", at
	u, err := url.Parse(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	const authority = "login.microsoftonline.com:443"
	both := []string{authority, u.Hostname() + ":443"}
	slices.Sort(both)
	a, err := client(t, cfg).Fetch(t.Context(), Request{Now: time.Now()})
	if hosts := seen(); err != nil || len(a.Values) != 2 || !slices.Equal(hosts, both) {
		t.Errorf("%v, %v; asked for %q, want %q", a, err, hosts, both)
	}
	// The environment's, in the helper: it is read once in a process. An
	// endpoint is dialled past it.
	t.Setenv("HTTPS_PROXY", at)
	cfg.Proxy = ""
	a, err = NewHelper(cfg).Fetch(t.Context(), Request{Now: time.Now()})
	if hosts := seen(); err != nil || len(a.Values) != 2 || !slices.Equal(hosts, both) {
		t.Errorf("%v, %v; asked for %q, want %q", a, err, hosts, both)
	}
	cfg.Endpoint = c.Endpoint()
	_, err = NewHelper(cfg).Fetch(t.Context(), Request{Now: time.Now()})
	if hosts := seen(); err != nil || !slices.Equal(hosts, []string{authority}) {
		t.Errorf("%v; asked for %q, want that of the authority", err, hosts)
	}
}

// What breaks a connection is told, and nothing that came over it.
func TestUnreachable(t *testing.T) {
	_, cfg := azureCloud(t, azure.Options{})
	answers := func(answer string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, answer)
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	closed := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	for _, tc := range []struct{ name, endpoint, url, want string }{
		{"refused", closed(), "", "connection refused"},
		{"closed at once", answers(""), "", "connection"},
		{"no TLS", answers("HTTP/1.1 200 OK\r\n\r\n" + cakOf(1)), "", "it does not speak TLS"},
		{"no such name", "", "", "its name is not found: lookup linkseal.vault.azure.net: no such host"},
		{"another's certificate", cfg.Endpoint, "https://other.vault.azure.net", "its certificate: x509: certificate is valid for"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := cfg
			if cfg.Endpoint = tc.endpoint; tc.url != "" {
				cfg.URL = tc.url
			}
			v, err := open(cfg, func(ctx context.Context, network, address string) (net.Conn, error) {
				if host, _, _ := net.SplitHostPort(address); net.ParseIP(host) == nil {
					return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
				}
				return new(net.Dialer).DialContext(ctx, network, address)
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			_, err = v.Fetch(t.Context(), Request{})
			if f := asFault(err); f.Kind != Unreachable || !strings.Contains(f.Text, tc.want) || held.MatchString(f.Text) {
				t.Errorf("%+v, want %q", f, tc.want)
			}
		})
	}
}

// An endpoint is dialled for the vault's host, and for no other.
func TestEndpoint(t *testing.T) {
	vault, err := url.Parse("https://contoso.vault.azure.net")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"": "contoso.vault.azure.net:443", "10.1.2.4": "10.1.2.4:443", "10.1.2.4:8443": "10.1.2.4:8443",
		"2001:db8::4": "[2001:db8::4]:443", "[2001:db8::4]": "[2001:db8::4]:443", "[2001:db8::4]:1": "[2001:db8::4]:1",
	} {
		var dialled string
		w, err := way(Config{Endpoint: text}, vault, func(_ context.Context, _, address string) (net.Conn, error) {
			dialled = address
			return nil, net.ErrClosed
		})
		if err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]string{"contoso.vault.azure.net:443": want, "login.microsoftonline.com:443": "login.microsoftonline.com:443"} {
			if _, err := w.DialContext(t.Context(), "tcp", address); err != net.ErrClosed || dialled != want {
				t.Errorf("endpoint %q: for %s it dials %s, want %s", text, address, dialled, want)
			}
		}
	}
}
