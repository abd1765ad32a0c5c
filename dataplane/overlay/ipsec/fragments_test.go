package ipsec

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/linkseal/linkseal/linux/netns"
)

// large is a certificate that no packet has room for.
func (a *authority) large(name string) (cert, key string) {
	a.t.Helper()
	k := newKey(a.t)
	names := []string{name}
	for i := range 200 {
		names = append(names, fmt.Sprintf("name-%d.of.%s", i, name))
	}
	der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, a.cert, k, a.key)
	if len(der) < 4000 {
		a.t.Fatalf("the certificate has %d octets", len(der))
	}
	sec1, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", sec1)
}

// fragments is how many fragments of IPv4 a machine has made.
func (w *wire) fragments(ns *netns.NS) int {
	w.t.Helper()
	out, err := ns.Command("cat", "/proc/net/snmp").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, line := range strings.Split(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "Ip:" {
			continue
		}
		for i, name := range names {
			if name == "FragCreates" {
				n, err := strconv.Atoi(f[i])
				if err != nil {
					w.t.Fatal(err)
				}
				return n
			}
		}
		names = f
	}
	w.t.Fatalf("no FragCreates in %s", out)
	return 0
}

// What is too large for a packet IKE takes apart itself (RFC 7383): fragments of
// UDP have no ports, and the filter of an underlay drops those to a remote that is
// protected.
func TestLargeCertificates(t *testing.T) {
	w := newWire(t)
	p := w.peer()
	c := w.charon()
	ca := newAuthority(t, "root")
	ourCert, ourKey := ca.large("us.example")
	theirCert, theirKey := ca.large("them.example")
	p.load(theirs(theirCert, theirKey, ca.path))
	w.secured(w.open(c, w.certified(ourCert, ourKey, ca.path), psks()))
	if ours, theirs := w.fragments(w.ours), w.fragments(w.stock); ours+theirs > 0 {
		t.Errorf("%d fragments of ours, %d of theirs", ours, theirs)
	}
	// Which are counted, if there are any.
	w.ours.Command("ping", "-c", "1", "-W", "1", "-s", "4000", w.their).Run()
	if w.fragments(w.ours) == 0 {
		t.Error("fragments are not counted")
	}
}
