package diagnose

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Lines as strongSwan 5.9.8 writes them, each with what it comes to.
func TestWatch(t *testing.T) {
	const initiating = "initiating IKE_SA linkseal.hub1.0[7] to 10.9.0.2"
	const initiated = "10.9.0.2 is initiating an IKE_SA"
	for _, c := range []struct {
		name  string
		lines []string
		want  Finding // of the last line
	}{
		{"established", []string{initiating, "CHILD_SA linkseal.hub1.0{1} established with SPIs e745931f_i f629c26c_o and TS 0.0.0.0/0 === 0.0.0.0/0"}, Finding{}},
		{"no answer", []string{initiating, "retransmit 1 of request with message ID 0"}, Finding{Kind: NoAnswer}},
		{"refused", []string{initiating, "received AUTHENTICATION_FAILED notify error"}, Finding{Kind: Authentication}},
		{"no IKE proposal there", []string{initiating, "received NO_PROPOSAL_CHOSEN notify error"}, Finding{Kind: IKEProposal}},
		{"no ESP proposal there", []string{initiating, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"}, Finding{Kind: ESPProposal}},
		{"no ESP proposal there, later", []string{initiating, "establishing CHILD_SA linkseal.hub1.0{2} reqid 1", "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built"}, Finding{Kind: ESPProposal, Rekey: true}},
		{"no selectors there", []string{initiating, "received TS_UNACCEPTABLE notify, no CHILD_SA built"}, Finding{Kind: Selectors}},
		{"another group there", []string{initiating, "peer didn't accept DH group ECP_384, it requested MODP_2048", "requested DH group MODP_2048 not contained in any of our proposals"}, Finding{Kind: KeyExchange, Accepted: "modp2048"}},
		{"no IKE proposal here", []string{initiated, "received proposals: IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048", "configured proposals: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384", "received proposals unacceptable"},
			Finding{Kind: IKEProposal, Here: true, Offered: "aes256-sha256-prfsha256-modp2048", Accepted: "aes256gcm16-prfsha384-ecp384"}},
		{"no ESP proposal here", []string{initiated, "received proposals: ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_EXT_SEQ, ESP:AES_GCM_16_128/EXT_SEQ", "configured proposals: ESP:AES_GCM_16_256/ECP_384/NO_EXT_SEQ", "no acceptable proposal found"},
			Finding{Kind: ESPProposal, Here: true, Offered: "aes256-sha256, aes128gcm16-esn", Accepted: "aes256gcm16-ecp384"}},
		{"not known here", []string{initiated, "looking for peer configs matching 10.9.0.1[us.example]...10.9.0.2[C=NL, O=x]", "no matching peer config found"},
			Finding{Kind: Identity, Here: true, Offered: "us.example (ours), C=NL, O=x (its own)"}},
		{"another PSK here", []string{initiated, "tried 2 shared keys for '10.9.0.1' - '10.9.0.2', but MAC mismatched"}, Finding{Kind: PSK, Here: true, Offered: "10.9.0.2"}},
		{"no PSK here", []string{initiated, "no shared key found for '10.9.0.1' - 'them'"}, Finding{Kind: PSK, Here: true, Offered: "them", Detail: "no shared key found for '10.9.0.1' - 'them'"}},
		{"no selectors here", []string{initiated, "traffic selectors 0.0.0.0/0 === 10.1.0.0/16 unacceptable"}, Finding{Kind: Selectors, Here: true, Offered: "10.1.0.0/16 to 0.0.0.0/0"}},
		{"another mode there", []string{initiating, "TUNNEL mode requested by responder is unacceptable"}, Finding{Kind: Mode, Here: true, Offered: "tunnel"}},
		{"an unknown issuer here", []string{initiating, `received end entity cert "CN=them"`, `no issuer certificate found for "CN=them"`, `  issuer is "CN=other"`, "no trusted ECDSA public key found for 'them.example'"},
			Finding{Kind: Certificate, Here: true, Offered: "CN=them", Detail: "no certificate here of the issuer of CN=them, which is CN=other"}},
		{"no key of ours", []string{initiating, "no private key found for 'us.example'"}, Finding{Kind: Certificate, Here: true, Detail: "no private key found for 'us.example'"}},
		{"the kernel", []string{initiating, "unable to install IPsec policies (SPD) in kernel"}, Finding{Kind: Kernel, Here: true, Detail: "unable to install IPsec policies (SPD) in kernel"}},
		{"no route", []string{initiating, "error writing to socket: Network is unreachable"}, Finding{Kind: Network, Here: true, Detail: "Network is unreachable"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w Watch
			name := "linkseal.hub1.0"
			if c.lines[0] == initiated {
				name = "(unnamed)"
			} else {
				c.want.Connection = name
			}
			c.want.Remote = netip.MustParseAddr("10.9.0.2")
			for i, text := range c.lines {
				f, ok := w.Feed(Line{SA: 7, Name: name, Text: text})
				if last := i == len(c.lines)-1; ok != last {
					t.Errorf("%q: %v, %+v", text, ok, f)
				} else if diff := cmp.Diff(c.want, f, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); last && diff != "" {
					t.Error(diff)
				}
			}
			problem, remedy := c.want.Explain(Settings{Remote: "10.9.0.2", LocalID: "us", RemoteID: "them", PSK: "k1", IKE: "i", ESP: "e", Selectors: "0.0.0.0/0 to 0.0.0.0/0"})
			if named := c.want.Kind != None; (problem != "") != named || (remedy != "") != named || named && !strings.Contains(problem, "remote 10.9.0.2") && c.want.Kind != Kernel && !strings.Contains(problem, "private key") {
				t.Errorf("%q; %q", problem, remedy)
			}
		})
	}
}

// Lines that say nothing about success or failure, and of no IKE_SA.
func TestWatchSilent(t *testing.T) {
	var w Watch
	for _, l := range []Line{
		{0, "", "CFG", "received AUTHENTICATION_FAILED notify error"},
		{1, "x", "IKE", "received TEMPORARY_FAILURE notify error"},
		{1, "x", "IKE", "scheduling rekeying in 24919s"},
		{1, "x", "NET", "sending packet: from 10.9.0.2[4500] to 10.9.0.1[4500] (69 bytes)"},
	} {
		if f, ok := w.Feed(l); ok {
			t.Errorf("%q: %+v", l.Text, f)
		}
	}
}

// Strangers cannot make it remember without end, and nothing that they send makes
// it fail.
func FuzzWatch(f *testing.F) {
	f.Add(uint32(1), "looking for peer configs matching a[]...b[]")
	f.Add(uint32(2), "received proposals: IKE:_/__/AES_GCM_")
	f.Add(uint32(3), "traffic selectors  ===  unacceptable")
	f.Fuzz(func(t *testing.T, sa uint32, text string) {
		var w Watch
		for i := range uint32(3) {
			w.Feed(Line{SA: sa + i, Text: text})
		}
		for i := range uint32(maxCourses + 10) {
			w.Feed(Line{SA: i + 1, Text: text})
		}
		if len(w.sas) > maxCourses {
			t.Errorf("%d are remembered", len(w.sas))
		}
	})
}
