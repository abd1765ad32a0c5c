package azure

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// jwt is a signed token (RFC 7519, RFC 7515 compact form), its signature not yet
// verified.
type jwt struct {
	header struct {
		Alg string `json:"alg"`
		// x5tS256 is the certificate's SHA-256 in base64, of either alphabet.
		X5tS256 string `json:"x5t#S256"`
	}
	claims    claims
	signed    []byte
	signature []byte
}

// claims are those that this authority and its vault look at. Times are Unix
// seconds.
type claims struct {
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	IssuedAt  int64  `json:"iat,omitempty"`
	AppID     string `json:"appid,omitempty"`
	ObjectID  string `json:"oid,omitempty"`
	Tenant    string `json:"tid,omitempty"`
	Version   string `json:"ver,omitempty"`
	ID        string `json:"jti,omitempty"`
}

// maxJWT is more than any certificate chain in a header needs.
const maxJWT = 32 << 10

func parseJWT(s string) (*jwt, error) {
	parts := strings.Split(s, ".")
	if len(s) > maxJWT || len(parts) != 3 {
		return nil, errors.New("it is no JWT of three parts")
	}
	t := &jwt{signed: []byte(parts[0] + "." + parts[1])}
	for i, into := range []any{&t.header, &t.claims} {
		octets, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(octets, into)
		}
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	var err error
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return t, nil
}

// verifyRSA checks the signature, PS256 or RS256.
func (t *jwt) verifyRSA(key *rsa.PublicKey) error {
	digest := sha256.Sum256(t.signed)
	switch t.header.Alg {
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], t.signature, nil)
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], t.signature)
	}
	return fmt.Errorf("the algorithm %q is not PS256 or RS256", t.header.Alg)
}

// namesCertificate reports whether the header has the thumbprint of the
// certificate, DER.
func (t *jwt) namesCertificate(der []byte) bool {
	sum := sha256.Sum256(der)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding, base64.URLEncoding} {
		if got, err := e.DecodeString(t.header.X5tS256); err == nil && bytes.Equal(got, sum[:]) {
			return true
		}
	}
	return false
}

// compose makes a JWT; sign has the octets that are signed.
func compose(alg string, c claims, sign func([]byte) ([]byte, error)) (string, error) {
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": alg})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64(header) + "." + b64(body)
	signature, err := sign([]byte(signed))
	if err != nil {
		return "", err
	}
	return signed + "." + b64(signature), nil
}

// mac signs with HMAC-SHA-256.
func mac(key []byte) func([]byte) ([]byte, error) {
	return func(signed []byte) ([]byte, error) {
		h := hmac.New(sha256.New, key)
		h.Write(signed)
		return h.Sum(nil), nil
	}
}
