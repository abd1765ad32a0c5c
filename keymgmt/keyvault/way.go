package keyvault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxCA is the largest file of certificates, in octets.
const maxCA = 1 << 20

// dialer opens a connection: net.Dialer's, but for tests.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// way is how hosts are reached: c's CA, proxy and endpoint. The TLS name of
// the vault is that of its URL, whatever address is dialled.
func way(c Config, vault *url.URL, dial dialer) (*http.Transport, error) {
	roots, err := rootCAs(c.CA)
	if err != nil {
		return nil, err
	}
	proxy := http.ProxyFromEnvironment
	if c.Proxy != "" {
		u, err := url.Parse(c.Proxy)
		if err != nil {
			return nil, faultf(Local, "proxy %q is no URL; accepted: as http://proxy.example:3128", c.Proxy)
		}
		proxy = http.ProxyURL(u)
	}
	host := hostPort(vault)
	at := ""
	if c.Endpoint != "" {
		if at, err = endpoint(c.Endpoint, vault); err != nil {
			return nil, err
		}
	}
	return &http.Transport{
		// A managed identity's endpoint is this machine's, in plain http, and
		// behind no proxy; neither is an address that is given.
		Proxy: func(r *http.Request) (*url.URL, error) {
			if r.URL.Scheme != "https" || at != "" && hostPort(r.URL) == host {
				return nil, nil
			}
			return proxy(r)
		},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if at != "" && strings.EqualFold(address, host) {
				address = at
			}
			return dial(ctx, network, address)
		},
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  callTime,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConnsPerHost:    1,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}, nil
}

// hostPort is the address that net/http dials for u.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// endpoint is text as an address to dial; without a port it has the vault's.
func endpoint(text string, vault *url.URL) (string, error) {
	if host, port, err := net.SplitHostPort(text); err == nil && net.ParseIP(host) != nil {
		return net.JoinHostPort(host, port), nil
	}
	ip := net.ParseIP(strings.Trim(text, "[]"))
	if ip == nil {
		return "", faultf(Local, "endpoint %q is no IP address; accepted: as 10.1.2.4 or [2001:db8::4]:443", text)
	}
	_, port, _ := net.SplitHostPort(hostPort(vault))
	return net.JoinHostPort(ip.String(), port), nil
}

// rootCAs are the system's, and those in the file. Without a file: nil, which
// is the system's.
func rootCAs(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, faultf(Local, "certificates of `ca`: %v; accepted: a readable PEM file", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCA))
	if err != nil {
		return nil, faultf(Local, "certificates of `ca`: %v; accepted: a readable PEM file", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, faultf(Local, "%s has no certificate; accepted: a PEM file with one or more", path)
	}
	return roots, nil
}
