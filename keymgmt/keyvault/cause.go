package keyvault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
)

// connectionCause is what broke a connection, in words that hold nothing of an
// answer: net/http quotes lines that it cannot read.
func connectionCause(err error) (string, FaultKind) {
	var (
		dns   *net.DNSError
		cert  *tls.CertificateVerificationError
		alert tls.AlertError
		head  tls.RecordHeaderError
		errno syscall.Errno
		op    *net.OpError
		wait  net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &wait) && wait.Timeout():
		return "no answer in time", Unreachable
	case errors.As(err, &dns):
		return "its name is not found: " + printable(dns.Error(), 200), Unreachable
	case errors.As(err, &cert):
		return certCause(cert.Err), Unreachable
	case errors.As(err, &alert):
		return "TLS: " + printable(alert.Error(), 200), Unreachable
	case errors.As(err, &head) || errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS", Unreachable
	case errors.As(err, &errno):
		return errno.Error(), Unreachable
	case errors.As(err, &op):
		return op.Op + " failed", Unreachable
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe):
		return "the connection broke", Unreachable
	}
	return "", Malformed
}

func certCause(err error) string {
	var authority x509.UnknownAuthorityError
	if errors.As(err, &authority) {
		return "its certificate is of an unknown authority (`ca:` names the file of one more)"
	}
	return "its certificate: " + printable(err.Error(), 200)
}

var (
	codeForm = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)
	aadsts   = regexp.MustCompile(`AADSTS[0-9]{1,9}`)
)

// errorCode is the code of an error's body, as a vault's
// {"error":{"code","message","innererror":{"code"}}} or an authority's
// {"error","error_description":"AADSTS..."}; the innermost, and none of its
// text.
func errorCode(body []byte) string {
	var vault struct {
		Error struct {
			Code  string
			Inner struct{ Code string } `json:"innererror"`
		}
	}
	var authority struct {
		Error       string
		Description string `json:"error_description"`
	}
	code := ""
	if json.Unmarshal(body, &vault) == nil {
		code = vault.Error.Code
		if vault.Error.Inner.Code != "" {
			code = vault.Error.Inner.Code
		}
	} else if json.Unmarshal(body, &authority) == nil {
		code = authority.Error
		if c := aadsts.FindString(authority.Description); c != "" {
			code = c
		}
	}
	if !codeForm.MatchString(code) {
		return ""
	}
	return code
}

// printable is text in one line, at most n octets of it.
func printable(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	if len(text) > n {
		text = text[:n] + "..."
	}
	return strings.TrimSpace(text)
}
