// Package config reads the configuration file: a strict decode of YAML
// version 1 in which every key is known, every absent one has its default,
// and all that is wrong is reported at once, each with its place and with
// what is accepted.
//
// It goes in stages, so that one run of check names everything: Parse looks
// at the file alone; CheckKeys at the keychains that it names; CheckSystem and
// CheckDataplanes at the machine. Its types are the file's own: what they become is the business
// of whoever desires a port (plan) or a participant (kay).
package config

import (
	"net/netip"
	"time"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// Config is a configuration file with every default filled in.
type Config struct {
	File string // as it was given
	// Name of the appliance; empty: the host's name.
	Name string
	// Socket is the control socket's path.
	Socket string
	// Group may use the control socket beside root: a name or a number;
	// empty: the group that the daemon runs as.
	Group string
	// Metrics is where they are served; the zero AddrPort: nowhere.
	Metrics netip.AddrPort
	// State is the directory of what must outlive the daemon.
	State string
	// Sealing is what the last good keys in it are sealed with.
	Sealing   Sealing
	Keychains []Keychain
	Ports     []Port
	Tunnels   []Tunnel

	doc    *strict.Document
	places map[string]strict.Pos // "ports.0.device" -> where it is
}

// Keychain names a source of keys.
type Keychain struct {
	Name   string
	Source string // SourceFile or SourceVault
	// Path of a file source; a relative one is resolved against the
	// directory of the configuration file.
	Path  string
	Vault *Vault // of a vault source
}

// The sources of keychains.
const (
	SourceFile  = "file"
	SourceVault = "azure-key-vault"
)

// Vault is an Azure Key Vault source. CAK and CKN, or PSK, are the names of
// secrets in it, or Certificate of a certificate.
type Vault struct {
	URL string
	// Endpoint is the address, a port with it or not, to connect to in place
	// of the one that the URL's host has in DNS: a private endpoint.
	Endpoint string
	// CA is a file of certificates, PEM, that are trusted beside the
	// system's. Proxy is the URL of an HTTP proxy; empty: the environment's.
	CA, Proxy     string
	CAK, CKN, PSK string
	Certificate   string
	Credential    Credential
	Poll          time.Duration
	Rotation      *Rotation // nil: somebody else rotates
}

// Credential is how the appliance shows who it is.
type Credential struct {
	Type               string // managed-identity, workload-identity, client-certificate, client-secret
	ClientID, TenantID string
	File               string // of the certificate or the client secret
}

// Sealing is what keys at rest are sealed with. The empty With takes the first
// that the machine has: TPM, systemd credential, key file.
type Sealing struct {
	With string // SealTPM, SealCredential, SealFile; or empty
	// Path of the credential or key file; empty: linkseal.seal among the
	// service's credentials, or seal.key in the state directory.
	Path string
	// PCRs of the TPM's SHA-256 bank, to whose values keys are sealed; none:
	// to the TPM alone.
	PCRs []int
}

// What keys at rest may be sealed with.
const (
	SealTPM        = "tpm"
	SealCredential = "credential"
	SealFile       = "file"
)

// Rotation is the schedule of an appliance that owns the rotation.
type Rotation struct {
	Every, Overlap, Hold time.Duration
}

// Dataplanes.
const (
	Auto      = "auto"
	Kernel    = "kernel"
	Userspace = "userspace"
)

// Cipher is a cipher suite by its name in the file.
type Cipher string

// Suite is the cipher suite of 802.1AE that c names.
func (c Cipher) Suite() sa.Suite {
	s, _ := sa.ParseSuite(string(c))
	return s
}

// Port is one MACsec port.
type Port struct {
	Name      string
	Device    string // the port itself
	Interface string // the MACsec device on it, a tap in user space
	Dataplane string // Auto, Kernel, Userspace
	Must      bool   // secure: must; false: should
	Cipher    Cipher
	Encrypt   bool // false: integrity only
	SendSCI   bool
	// ReplayWindow in packets; 0 is strict order, nil no replay protection.
	ReplayWindow          *uint32
	ConfidentialityOffset int // 0, 30, 50
	MTU                   int // octets, of the MACsec device
	// Addresses of the MACsec device; nil if the key is absent, when they
	// are somebody else's to manage.
	Addresses []netip.Prefix
	Keychain  string
	Allow     []string // clear protocols let through, of Protocols
	MKA       MKA
	// Tags are rules for the frames of the secured interface, the first that
	// matches counts; nil if the key is absent, when they are not looked at.
	Tags []TagRule
}

// MKA are the parameters of key agreement on a port.
type MKA struct {
	Priority    uint8
	Hello, Life time.Duration
	Rekey       time.Duration // period; 0: never for its age alone
	Destination MAC
	EtherType   uint16
}

// MAC is a MAC address.
type MAC [6]byte

// Keychain returns the keychain called name, nil if there is none.
func (c *Config) Keychain(name string) *Keychain {
	for i := range c.Keychains {
		if c.Keychains[i].Name == name {
			return &c.Keychains[i]
		}
	}
	return nil
}

// Problem reports something about the key at path, such as
// "keychains.link1.path" or "ports.0.device", with its place and line.
func (c *Config) Problem(path, what, accepted string) *strict.Problem {
	pos, ok := c.places[path]
	if !ok {
		pos = strict.Pos{File: c.File}
	}
	return c.doc.Problem(pos, what, accepted)
}
