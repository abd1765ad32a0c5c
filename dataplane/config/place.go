package config

import (
	"net/url"
	"strings"
)

// Place names the vault and the secrets in it, the same however URL and names
// are spelt: "url cak ckn psk". A host is without case (RFC 3986 clause 6.2.2.1)
// and 443 is https's port (6.2.3); names of secrets are without case in Azure.
func (v Vault) Place() string {
	where := strings.TrimRight(v.URL, "/")
	if u, err := url.Parse(where); err == nil {
		where = u.Scheme + "://" + strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(u.Host), ":443"), ":")
	}
	return where + " " + strings.ToLower(v.CAK+" "+v.CKN+" "+v.PSK+v.Certificate)
}
