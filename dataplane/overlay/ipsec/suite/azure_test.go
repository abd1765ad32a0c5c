package suite

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// table is what a custom policy of a gateway accepts (vpn-gateway-about-
// compliance-crypto, and the FAQ on IPsec/IKE policy), by our keyword.
var table = map[Protocol]map[Kind]map[string]string{
	IKE: {
		Encryption:  {"aes256gcm16": "GCMAES256", "aes128gcm16": "GCMAES128", "aes256": "AES256", "aes192": "AES192", "aes128": "AES128"},
		Integrity:   {"sha384": "SHA384", "sha256": "SHA256", "sha1": "SHA1"},
		PRF:         {"prfsha384": "SHA384", "prfsha256": "SHA256", "prfsha1": "SHA1"},
		KeyExchange: {"ecp384": "ECP384", "ecp256": "ECP256", "modp2048s256": "DHGroup24", "modp2048": "DHGroup14"},
	},
	ESP: {
		Encryption:  {"aes256gcm16": "GCMAES256", "aes192gcm16": "GCMAES192", "aes128gcm16": "GCMAES128", "aes256": "AES256", "aes192": "AES192", "aes128": "AES128"},
		Integrity:   {"sha256": "SHA256", "sha1": "SHA1"},
		KeyExchange: {"ecp384": "ECP384", "ecp256": "ECP256", "modp2048s256": "PFS24", "modp2048": "PFS2048"},
	},
}

// around is a proposal with t in it, the rest of which every policy accepts.
func around(protocol Protocol, t Transform) (text string, ok bool) {
	switch {
	case protocol == IKE && t.Kind == Encryption && t.AEAD:
		return t.Name + "-prfsha384-ecp384", true
	case protocol == IKE && t.Kind == Encryption:
		return t.Name + "-sha256-ecp384", true
	case protocol == IKE && t.Kind == Integrity:
		return "aes256-" + t.Name + "-ecp384", true
	case protocol == IKE && t.Kind == PRF:
		return "aes256gcm16-" + t.Name + "-ecp384", true
	case protocol == IKE && t.Kind == KeyExchange:
		return "aes256gcm16-prfsha384-" + t.Name, true
	case protocol == ESP && t.Kind == Encryption && t.AEAD:
		return t.Name, true
	case protocol == ESP && t.Kind == Encryption:
		return t.Name + "-sha256", true
	case protocol == ESP && t.Kind == Integrity:
		return "aes256-" + t.Name, true
	case protocol == ESP && t.Kind == KeyExchange:
		return "aes256gcm16-" + t.Name, true
	}
	return "", false
}

// Each algorithm that charon knows is accepted under each of Azure's profiles or
// refused with what is accepted, exactly as the table has it; weak ones are
// refused until allow_weak says so, whosever the far end is.
func TestTable(t *testing.T) {
	azure := []string{"azure-vpn-gateway", "azure-vpn-gateway-high-bandwidth", "azure-virtual-wan"}
	seen := map[Protocol]map[string]bool{IKE: {}, ESP: {}}
	for _, name := range slices.Sorted(maps.Keys(transforms)) {
		tr := transforms[name]
		for _, protocol := range []Protocol{IKE, ESP} {
			text, ok := around(protocol, tr)
			if !ok {
				continue
			}
			if _, err := Parse(protocol, text); err != nil {
				t.Errorf("%s %s: %v", protocol, text, err)
				continue
			}
			want, accepted := table[protocol][tr.Kind][name]
			if accepted {
				seen[protocol][name] = true
			}
			for _, profile := range azure {
				for _, allow := range []bool{false, true} {
					s := Settings{Profile: profile, AllowWeak: allow}
					at := &s.IKE
					if protocol == ESP {
						at = &s.ESP
					}
					*at = []string{text}
					said := fmt.Sprint(Check(s))
					weak := tr.Weak != "" && !allow
					refused := strings.Contains(said, "a gateway of Azure has no "+name+" as "+tr.Kind.String()+" of "+protocol.String())
					if refused == accepted || strings.Contains(said, "is weak") != weak || (said == "[]") != (accepted && !weak) {
						t.Errorf("%s, %s %s, allow_weak %v: %s", profile, protocol, text, allow, said)
					}
				}
			}
			p, _ := Parse(protocol, text)
			if policy, err := p.Azure(); accepted && (err != nil || !slices.Contains(strings.Split(policy, "/"), want)) {
				t.Errorf("%s %s: %s, %v; want %s in it", protocol, text, policy, err, want)
			}
			s := Settings{IKE: []string{text}}
			if protocol == ESP {
				s = Settings{ESP: []string{text}}
			}
			if bad := Check(s); (len(bad) > 0) != (tr.Weak != "") {
				t.Errorf("strict, %s %s: %+v", protocol, text, bad)
			}
		}
	}
	for protocol, kinds := range table {
		for _, names := range kinds {
			for name := range names {
				if !seen[protocol][name] {
					t.Errorf("%s has no %s", protocol, name)
				}
			}
		}
	}
	for _, name := range []string{"des", "3des", "md5", "prfmd5", "modp768", "modp1024", "sha1", "modp2048s256"} {
		if transforms[name].Weak == "" {
			t.Errorf("%s is not weak", name)
		}
	}
}

// What the profiles come to in a policy of Azure, the best that it has, renewed
// before the gateway's own lifetimes by time and by volume.
func TestProfilesInAzure(t *testing.T) {
	for _, name := range Profiles() {
		c, bad := Choose(Settings{Profile: name})
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		p, _ := Lookup(name)
		ike, err1 := c.IKE[0].Azure()
		esp, err2 := c.ESP[0].WithoutESN().Azure()
		if ike != "GCMAES256/SHA384/ECP384" || esp != "GCMAES256/GCMAES256/ECP384" || err1 != nil || err2 != nil {
			t.Errorf("%s: %s, %s, %v, %v", name, ike, esp, err1, err2)
		}
		if p.Azure != strings.HasPrefix(name, "azure-") {
			t.Errorf("%s: Azure %v", name, p.Azure)
		}
		// With what charon takes off at random it is earlier yet.
		if c.Lifetimes.IKE > 28_800*time.Second*9/10 || c.Child > 27_000*time.Second*9/10 || c.Octets > 102_400_000*1024*9/10 {
			t.Errorf("%s: %+v", name, c.Lifetimes)
		}
		if c.DPD < 9*time.Second || c.DPD > 3600*time.Second {
			t.Errorf("%s: DPD %v", name, c.DPD)
		}
	}
}
