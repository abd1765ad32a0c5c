package ipsec

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// certificate is what an end with auth: certificate shows and accepts.
type certificate struct {
	own     []byte   // DER
	issuers [][]byte // DER, of own, as far as they are there
	cas     [][]byte // DER
	key     *secret.Key
}

func (c *certificate) zero() {
	if c != nil {
		c.key.Zero()
	}
}

// maxPEM is the longest file that is read, in octets.
const maxPEM = 60 << 10

// readCertificate reads the files of s.
func readCertificate(s *config.IPsec) (*certificate, error) {
	own, err := readCertificates(s.Certificate)
	if err != nil {
		return nil, err
	}
	cas, err := readCAs(s)
	if err != nil {
		return nil, err
	}
	key, err := readKey(s.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &certificate{own: own[0], issuers: own[1:], cas: cas, key: key}, nil
}

// readCAs reads the certificates of those who issue the remote's.
func readCAs(s *config.IPsec) ([][]byte, error) {
	cas, err := readCertificates(s.CA)
	if err != nil {
		return nil, err
	}
	for _, der := range cas {
		if ca, err := x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%s: %w", s.CA, err)
		} else if !ca.IsCA {
			return nil, fmt.Errorf("%s: %s is no CA's certificate; accepted: the certificates of those who issue the remote's", s.CA, ca.Subject)
		}
	}
	return cas, nil
}

// readCertificates reads the certificates in a PEM file, one at the least.
func readCertificates(path string) ([][]byte, error) {
	b, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	all := certificatesIn(b)
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no certificate; accepted: PEM, BEGIN CERTIFICATE", path)
	}
	return all, nil
}

// certificatesIn are those in PEM, DER.
func certificatesIn(b []byte) (all [][]byte) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return all
		}
		if block.Type == "CERTIFICATE" {
			all = append(all, block.Bytes)
		}
	}
}

// readKey reads a private key as it is, which charon takes apart. Others must
// not be able to read it.
func readKey(path string) (*secret.Key, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if i.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("private key %s has mode %04o; accepted: 0600 or stricter (chmod 600 %s)", path, i.Mode().Perm(), path)
	}
	b, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	return secret.New(b), nil
}

func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, maxPEM+1) // of one piece: no copies of a key are left
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s is longer than %d octets", path, maxPEM)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b[:n], nil
}
