package keyvault

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/pkcs12"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// The content types by which a vault's certificates come as secrets (Azure's
// "About Azure Key Vault certificates", composition of a certificate).
const (
	typePEM    = "application/x-pem-file"
	typePKCS12 = "application/x-pkcs12"
)

// decodeCertificate reads the value of a certificate's version and zeroes text.
// Its octets are PEM: the certificate that belongs to the private key first,
// then the others, and the private key last, in PKCS#8. What is wrong is told
// without any of it.
func decodeCertificate(ref Ref, contentType *string, text []byte) Value {
	defer clear(text)
	wrong := func(format string, args ...any) Value { return Value{Ref: ref, Wrong: fmt.Sprintf(format, args...)} }
	media := ""
	if contentType != nil {
		media, _, _ = strings.Cut(*contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	var certs []*x509.Certificate
	var key crypto.PrivateKey
	var err error
	switch media {
	case typePEM:
		certs, key, err = parsePEM(text)
	case typePKCS12:
		certs, key, err = parsePKCS12(text)
	default:
		return wrong("has the content type %q; accepted: %s, %s", printable(media, 80), typePEM, typePKCS12)
	}
	if err != nil {
		return wrong("%v", err)
	}
	public, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return wrong("has a private key of another kind; accepted: RSA, ECDSA, Ed25519")
	}
	out, err := bundle(certs, key, public.Public())
	if err != nil {
		return wrong("%v", err)
	}
	if len(out) > keychain.MaxCertificate {
		n := len(out)
		clear(out)
		return wrong("is %d octets of PEM; accepted: up to %d", n, keychain.MaxCertificate)
	}
	return Value{Ref: ref, Octets: secret.New(out)}
}

// parsePEM reads certificates and one private key. Errors have nothing of them.
func parsePEM(text []byte) ([]*x509.Certificate, crypto.PrivateKey, error) {
	var blocks []*pem.Block
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks = append(blocks, block)
	}
	return parseBlocks(blocks)
}

// parseBlocks zeroes the private key in blocks.
func parseBlocks(blocks []*pem.Block) (certs []*x509.Certificate, key crypto.PrivateKey, err error) {
	for _, block := range blocks {
		switch {
		case block.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, fmt.Errorf("has a certificate that cannot be read")
			}
			certs = append(certs, c)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			found := parseKey(block.Bytes)
			clear(block.Bytes)
			if found == nil || key != nil {
				return nil, nil, fmt.Errorf("has a private key that cannot be read, or two; accepted: one, without a password")
			}
			key = found
		}
	}
	if key == nil {
		return nil, nil, fmt.Errorf("has no private key; accepted: a certificate whose policy has an exportable key")
	}
	return certs, key, nil
}

// parsePKCS12 reads a value in base64.
func parsePKCS12(text []byte) ([]*x509.Certificate, crypto.PrivateKey, error) {
	text = bytes.TrimSpace(text)
	der := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	defer clear(der)
	n, err := base64.StdEncoding.Decode(der, text)
	if err == nil {
		var blocks []*pem.Block
		if blocks, err = pkcs12.ToPEM(der[:n], ""); err == nil {
			return parseBlocks(blocks)
		}
	}
	return nil, nil, fmt.Errorf("is no PKCS#12 in base64 with 3DES or RC2 and no password; accepted: that, or a certificate whose policy has the content type %s", typePEM)
}

// parseKey reads PKCS#8, PKCS#1 or SEC 1; nil: it is none of them.
func parseKey(der []byte) crypto.PrivateKey {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	return nil
}

// bundle is certs and key as PEM, the certificate of public first.
func bundle(certs []*x509.Certificate, key crypto.PrivateKey, public crypto.PublicKey) ([]byte, error) {
	own, ok := public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil, fmt.Errorf("has a private key of another kind; accepted: RSA, ECDSA, Ed25519")
	}
	var out bytes.Buffer
	for _, mine := range []bool{true, false} {
		for _, c := range certs {
			if own.Equal(c.PublicKey) == mine {
				pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
			}
		}
		if out.Len() == 0 {
			return nil, fmt.Errorf("has no certificate that belongs to its private key")
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("has a private key of another kind; accepted: RSA, ECDSA, Ed25519")
	}
	defer clear(der)
	pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return out.Bytes(), nil
}
