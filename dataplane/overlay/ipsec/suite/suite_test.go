package suite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		protocol  Protocol
		text      string
		want, err string // the proposal as it is given to charon, or a part of the error
	}{
		{IKE, "aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-ecp384", ""},
		{IKE, "AES256GCM-PRFSHA384-x25519", "aes256gcm16-prfsha384-curve25519", ""},
		{IKE, "aes256-sha256-modp2048", "aes256-sha256-modp2048", ""},
		{IKE, "aes256-aes128-sha384-sha256-ecp384-ecp256", "aes256-aes128-sha384-sha256-ecp384-ecp256", ""},
		{ESP, "aes256gcm16", "aes256gcm16", ""},
		{ESP, "aes256gcm16-ecp384-esn-noesn", "aes256gcm16-ecp384-esn-noesn", ""},
		{IKE, "", "", "empty"},
		{IKE, "default", "", "weak suites"},
		{IKE, "aes256gcm16-ecp384", "", "no PRF"},
		{IKE, "aes256gcm16-prfsha384", "", "no key exchange"},
		{IKE, "aes256-ecp384", "", "needs one, as sha256"},
		{IKE, "aes256-sha256-ecp384-esn", "", "esn is of ESP"},
		{IKE, "aes256gcm16-aes256-sha256-prfsha256-ecp384", "", "one proposal"},
		{ESP, "aes256gcm16-sha256", "", "sha256 does not go with it"},
		{ESP, "aes256gcm16-prfsha384", "", "prfsha384 is of IKE"},
		{ESP, "aes512gcm16", "", `"aes512gcm16" is no algorithm`},
		{ESP, "aes256gcm16-aes256gcm", "", "there twice"},
		{ESP, "sha256", "", "no encryption"},
		{ESP, strings.Repeat("aes256-", 60), "", "octets"},
	} {
		p, err := Parse(c.protocol, c.text)
		if c.err == "" && (err != nil || p.String() != c.want) {
			t.Errorf("%s %q: %q, %v; want %q", c.protocol, c.text, p, err, c.want)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "; accepted: ")) {
			t.Errorf("%s %q: %v; want %q", c.protocol, c.text, err, c.err)
		}
	}
}

// What Parse accepts it accepts again as it writes it.
func TestParseAgain(t *testing.T) {
	var words []string
	for name := range transforms {
		words = append(words, name)
	}
	for name := range aliases {
		words = append(words, name)
	}
	slices.Sort(words)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 5).Draw(t, "words"), "-")
		protocol := Protocol(rapid.IntRange(0, 1).Draw(t, "protocol"))
		p, err := Parse(protocol, text)
		if err != nil {
			return
		}
		again, err := Parse(protocol, p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q: %q, then %q, %v", text, p, again, err)
		}
		if _, err := p.Azure(); err == nil && p.ESN() {
			t.Errorf("Azure is said to accept %s", p)
		}
	})
}

func TestAzure(t *testing.T) {
	for _, c := range []struct {
		protocol     Protocol
		text, policy string
		err          string
	}{
		{IKE, "aes256gcm16-prfsha384-ecp384", "GCMAES256/SHA384/ECP384", ""},
		{IKE, "aes128gcm16-prfsha256-ecp256", "GCMAES128/SHA256/ECP256", ""},
		{IKE, "aes256-sha256-modp2048", "AES256/SHA256/DHGroup14", ""},
		{IKE, "aes192-sha384-prfsha384-modp2048s256", "AES192/SHA384/DHGroup24", ""},
		{IKE, "aes256-sha1-ecp384", "AES256/SHA1/ECP384", ""},
		{ESP, "aes256gcm16-ecp384", "GCMAES256/GCMAES256/ECP384", ""},
		{ESP, "aes192gcm16", "GCMAES192/GCMAES192/None", ""},
		{ESP, "aes256-sha256-modp2048", "AES256/SHA256/PFS2048", ""},
		{IKE, "aes192gcm16-prfsha384-ecp384", "", "no aes192gcm16 as encryption of IKE"},
		{IKE, "aes256gcm16-prfsha512-ecp384", "", "no prfsha512 as PRF of IKE; accepted: prfsha256, prfsha384"},
		{IKE, "aes256gcm16-prfsha384-curve25519", "", "accepted: ecp256, ecp384, modp2048"},
		{IKE, "aes256gcm16-prfsha384-modp1024", "", "no modp1024"},
		{IKE, "aes256-sha256-prfsha384-ecp384", "", "one hash"},
		{IKE, "aes256gcm16-aes128gcm16-prfsha384-ecp384", "", "names one encryption"},
		{ESP, "aes256-sha384", "", "no sha384 as integrity of ESP; accepted: sha256"},
		{ESP, "chacha20poly1305", "", "no chacha20poly1305"},
		{ESP, "aes256gcm16-ecp384-esn", "", "no extended sequence numbers; accepted: aes256gcm16-ecp384"},
		{ESP, "aes256gcm12", "", "no aes256gcm12"},
	} {
		p, err := Parse(c.protocol, c.text)
		if err != nil {
			t.Fatal(err)
		}
		policy, err := p.Azure()
		if policy != c.policy || (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s %s: %q, %v; want %q, %q", c.protocol, c.text, policy, err, c.policy, c.err)
		}
	}
}

// Each profile is right in itself, and renews keys before Azure cuts them.
func TestProfiles(t *testing.T) {
	if got := Profiles(); !slices.Equal(got, []string{"azure-virtual-wan", "azure-vpn-gateway", "azure-vpn-gateway-high-bandwidth", "strict"}) {
		t.Errorf("profiles %q", got)
	}
	for _, name := range append(Profiles(), "") {
		for _, user := range []bool{false, true} {
			c, bad := Choose(Settings{Profile: name, Userspace: user})
			if len(bad) > 0 || len(c.IKE) == 0 || len(c.ESP) == 0 {
				t.Errorf("%q, user space %v: %+v %+v", name, user, c, bad)
			}
			if c.Lifetimes.Child >= AzureChildSeconds*time.Second || c.Lifetimes.IKE >= AzureIKESeconds*time.Second || c.Octets >= AzureChildKB*1024 || c.Octets == 0 {
				t.Errorf("%q: lifetimes %+v", name, c.Lifetimes)
			}
			if c.ESP[0].ESN() != (c.Profile == Strict && !user) {
				t.Errorf("%q, user space %v: ESP %s", name, user, c.ESP[0])
			}
		}
		if p, _ := Lookup(name); p.Why == "" {
			t.Errorf("%q has no reason", name)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Settings
		want []string // "path: what; accepted", parts
	}{
		{"nothing written", Settings{}, nil},
		{"unknown profile", Settings{Profile: "azure"}, []string{`profile: there is no profile "azure"; azure-virtual-wan, `}},
		{"weak", Settings{IKE: []string{"3des-md5-modp1024"}}, []string{"ike.0: IKE proposal 3des-md5-modp1024 is weak (3des: blocks of 64 bits (Sweet32); md5: MD5 is broken; modp1024: DH group 2 has 1024 bits); a proposal without it, or allow_weak: true"}},
		{"weak, wanted", Settings{IKE: []string{"3des-md5-modp1024"}, AllowWeak: true}, nil},
		{"weak, wanted, not Azure's", Settings{Profile: "azure-vpn-gateway", ESP: []string{"3des-sha1"}, AllowWeak: true}, []string{"esp.0: profile azure-vpn-gateway does not go with ESP proposal 3des-sha1: a gateway of Azure has no 3des as encryption of ESP"}},
		{"second is wrong", Settings{ESP: []string{"aes256gcm16", "aes256"}}, []string{`esp.1: ESP proposal "aes256": aes256 has no integrity`}},
		{"Azure, transport", Settings{Profile: "azure-virtual-wan", Transport: true}, []string{"mode: an Azure gateway has no transport mode"}},
		{"user space, transport", Settings{Userspace: true, Transport: true}, []string{"mode: there is no transport mode in user space"}},
		{"user space, ESN", Settings{Userspace: true, ESP: []string{"aes256gcm16-esn"}}, []string{"esp.0: ESP proposal aes256gcm16-esn: there are no extended sequence numbers in user space; aes256gcm16"}},
		{"user space, other cipher", Settings{Userspace: true, ESP: []string{"camellia256-sha256"}}, []string{"esp.0: ESP proposal camellia256-sha256: there is no camellia256 in user space"}},
		{"as late as Azure", Settings{Profile: "azure-vpn-gateway", Lifetimes: Lifetimes{IKE: 8 * time.Hour, Child: 27000 * time.Second, Octets: 102_400_000 * 1024}}, []string{"rekey.ike: ", "rekey.child: rekey.child 7h30m0s: the gateway cuts the key after 7h30m0s", "rekey.octets: "}},
		{"later, at one's own", Settings{Lifetimes: Lifetimes{IKE: 8 * time.Hour, Child: 8 * time.Hour, Octets: 1 << 40}}, nil},
		{"too often", Settings{Lifetimes: Lifetimes{IKE: time.Second, Child: time.Second, Octets: 1, DPD: 1500 * time.Millisecond}}, []string{"rekey.ike: ", "rekey.child: ", "rekey.octets: ", "dpd: "}},
	} {
		bad := Check(c.s)
		if len(bad) != len(c.want) {
			t.Errorf("%s: %+v; want %q", c.name, bad, c.want)
			continue
		}
		for i, b := range bad {
			if got := b.Path + ": " + b.What + "; " + b.Accepted; !strings.Contains(got, c.want[i]) || b.Accepted == "" {
				t.Errorf("%s: %q; want %q", c.name, got, c.want[i])
			}
		}
	}
}

func TestOverhead(t *testing.T) {
	for _, c := range []struct {
		text        string
		ipv6, encap bool
		want        int
	}{
		{"aes256gcm16", false, false, 20 + 8 + 8 + 5 + 16},
		{"aes256gcm16", false, true, 20 + 8 + 8 + 8 + 5 + 16},
		{"aes256gcm16", true, false, 40 + 8 + 8 + 5 + 16},
		{"aes256-sha1", false, false, 20 + 8 + 16 + 17 + 12}, // 73
		{"aes256-sha256", false, false, 20 + 8 + 16 + 17 + 16},
	} {
		p, err := Parse(ESP, c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Overhead(c.ipv6, c.encap); got != c.want {
			t.Errorf("%s: %d, want %d", c.text, got, c.want)
		}
	}
}

// What charon logs comes back as what was configured.
func TestWords(t *testing.T) {
	for logged, want := range map[string]string{
		"IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384":                                                         "aes256gcm16-prfsha384-ecp384",
		"IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048, IKE:3DES_CBC/HMAC_MD5_96/PRF_HMAC_MD5": "aes256-sha256-prfsha256-modp2048, 3des_cbc-md5-prfmd5",
		"ESP:AES_CCM_16_128/CURVE_25519/NO_EXT_SEQ":                                                            "aes128ccm16-curve25519",
		"ESP:CHACHA20_POLY1305_256/EXT_SEQ":                                                                    "chacha20poly1305-esn",
		"ESP:CAMELLIA_CBC_128/HMAC_SHA1_96/NO_EXT_SEQ":                                                         "camellia128-sha1",
		"": "",
	} {
		if got := Words(logged); got != want {
			t.Errorf("%q: %q, want %q", logged, got, want)
		}
	}
}
