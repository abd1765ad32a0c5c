package config

import "testing"

// A vault spelt otherwise is the same place; another one, or other secrets of
// it, are not.
func TestPlace(t *testing.T) {
	const want = "https://v.vault.azure.net a-1 c-1 "
	for url, same := range map[string]bool{
		"https://v.vault.azure.net": true, "https://V.Vault.azure.NET/": true, "HTTPS://v.vault.azure.net:443//": true, "https://v.vault.azure.net:": true,
		"https://v.vault.azure.net:8443": false, "https://w.vault.azure.net": false,
	} {
		if got := (Vault{URL: url, CAK: "A-1", CKN: "c-1"}).Place(); (got == want) != same {
			t.Errorf("%s is %q", url, got)
		}
	}
	for _, v := range []Vault{{CAK: "a-2", CKN: "c-1"}, {CAK: "a-1", CKN: "c-1", PSK: "p"}} {
		if v.URL = "https://v.vault.azure.net"; v.Place() == want {
			t.Errorf("%+v has the place of other secrets", v)
		}
	}
	if got := (Vault{URL: "https://[2001:DB8::1]:443", CAK: "a", CKN: "c"}).Place(); got != "https://[2001:db8::1] a c " {
		t.Errorf("an address is %q", got)
	}
}
