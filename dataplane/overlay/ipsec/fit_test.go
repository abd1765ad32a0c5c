package ipsec

import (
	"testing"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/strongswan"
	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

func TestMisfit(t *testing.T) {
	chosen, bad := suite.Choose(suite.Settings{IKE: []string{"aes256gcm16-prfsha384-ecp384", "aes256-sha256-modp2048"}, ESP: []string{"aes256gcm16-ecp384-esn-noesn"}})
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	good := func() (strongswan.IKESA, strongswan.ChildSA) {
		return strongswan.IKESA{LocalID: "us", RemoteID: "C=NL, CN=them", Suite: "aes256gcm16-prfsha384-ecp384"}, strongswan.ChildSA{Mode: "TUNNEL", Suite: "aes256gcm16-esn"}
	}
	for _, c := range []struct {
		name string
		edit func(*strongswan.IKESA, *strongswan.ChildSA)
		want string
	}{
		{"as configured", func(*strongswan.IKESA, *strongswan.ChildSA) {}, ""},
		{"after a rekeying", func(_ *strongswan.IKESA, c *strongswan.ChildSA) { c.Suite = "aes256gcm16-ecp384" }, ""},
		{"the second proposal", func(i *strongswan.IKESA, _ *strongswan.ChildSA) { i.Suite = "aes256-sha256-prfsha256-modp2048" }, ""},
		{"of two proposals", func(i *strongswan.IKESA, _ *strongswan.ChildSA) { i.Suite = "aes256gcm16-prfsha384-modp2048" }, "ike aes256gcm16-prfsha384-modp2048"},
		{"another cipher", func(_ *strongswan.IKESA, c *strongswan.ChildSA) { c.Suite = "aes128gcm16" }, "esp aes128gcm16"},
		{"another identity", func(i *strongswan.IKESA, _ *strongswan.ChildSA) { i.LocalID = "old" }, "local_id old"},
		{"another mode", func(_ *strongswan.IKESA, c *strongswan.ChildSA) { c.Mode = "TRANSPORT" }, "mode transport"},
	} {
		ike, child := good()
		c.edit(&ike, &child)
		if got := misfit(ike, child, "us", "CN=them,C=NL", false, chosen); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
