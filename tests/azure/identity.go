package azure

import (
	"crypto/x509"
	"slices"
	"strings"
)

// Identity is an application or a managed identity of the tenant.
type Identity struct {
	ClientID, ObjectID string // UUIDs
	// What an application may prove itself with.
	Secrets      []string
	Certificates []*x509.Certificate
	Federated    []Federation
	// System is true for the machine's system-assigned identity.
	System bool
	// ResourceID is that of a user-assigned identity of the machine.
	ResourceID string
	// Role is what it may do in the vault.
	Role Role
}

// Federation is whose tokens, and about whom, are as good as a secret.
type Federation struct{ Issuer, Subject, Audience string }

// Role is a set of the vault's data actions.
type Role uint8

// The data actions, of "Azure RBAC for Key Vault data plane operations".
const (
	MayGet Role = 1 << iota
	MayList
	MaySet
	MayUpdate
	MayDelete
	MayRecover
	MayPurge

	SecretsUser    = MayGet | MayList
	SecretsOfficer = MayGet | MayList | MaySet | MayUpdate | MayDelete | MayRecover | MayPurge
)

// actions are the names of what operations need, below Microsoft.KeyVault/vaults/secrets.
var actions = map[Op]struct {
	role Role
	name string
}{
	OpGet:         {MayGet, "getSecret/action"},
	OpVersions:    {MayList, "readMetadata/action"},
	OpList:        {MayList, "readMetadata/action"},
	OpGetDeleted:  {MayList, "readMetadata/action"},
	OpListDeleted: {MayList, "readMetadata/action"},
	OpSet:         {MaySet, "setSecret/action"},
	OpUpdate:      {MayUpdate, "update/action"},
	OpDelete:      {MayDelete, "delete"},
	OpRecover:     {MayRecover, "recover/action"},
	OpPurge:       {MayPurge, "purge/action"},
}

// The identities of a cloud that is told of none.
const (
	AppID     = "0d6f7c5a-3b1e-4c28-8f90-a1b2c3d4e5f6"
	AppSecret = "lab~not-a-secret-8Q3aVd0xKf"
	SystemID  = "9e8d7c6b-5a49-4382-b716-05f4e3d2c1b0"
)

// WorkloadFederation is of the tokens that FederatedToken makes.
var WorkloadFederation = Federation{
	Issuer: "https://issuer.test/linkseal/", Subject: "system:serviceaccount:linkseal:linkseal",
	Audience: "api://AzureADTokenExchange",
}

// App is an application with a client secret and a federation; it may do all.
func App() Identity {
	return Identity{
		ClientID: AppID, ObjectID: "2b3c4d5e-6f70-4819-a2b3-c4d5e6f70819",
		Secrets: []string{AppSecret}, Federated: []Federation{WorkloadFederation}, Role: SecretsOfficer,
	}
}

// System is a machine's system-assigned identity that may do all.
func System() Identity {
	return Identity{
		ClientID: SystemID, ObjectID: "7a6b5c4d-3e2f-4109-98a7-b6c5d4e3f201", System: true, Role: SecretsOfficer,
	}
}

// Register makes an identity known, in place of the one with its client id.
func (c *Cloud) Register(id Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identities = slices.DeleteFunc(c.identities, func(o *Identity) bool { return strings.EqualFold(o.ClientID, id.ClientID) })
	c.identities = append(c.identities, &id)
}

// Unregister removes an identity: its tokens are good for nothing any more.
func (c *Cloud) Unregister(clientID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identities = slices.DeleteFunc(c.identities, func(o *Identity) bool { return strings.EqualFold(o.ClientID, clientID) })
}

// identity is a copy of the first that is so.
func (c *Cloud) identity(is func(*Identity) bool) (Identity, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.identities, is); i >= 0 {
		return *c.identities[i], true
	}
	return Identity{}, false
}

func byClientID(id string) func(*Identity) bool {
	return func(o *Identity) bool { return strings.EqualFold(o.ClientID, id) }
}
