// Package azure is a local Azure: one Key Vault with its secrets, the authority
// that gives tokens for it, and a machine's managed identity, over TLS on
// loopback or on a listener in memory. Tests and the lab drive it with the
// unmodified azsecrets and azidentity clients; nothing but configuration differs
// from the cloud. It imports no part of the SDK.
//
// # What of the real service is modelled
//
// The vault, by Microsoft's "Azure Key Vault REST API reference, Secrets" (api
// versions 7.x to 2026-04-01), "About Azure Key Vault secrets", "Authentication,
// requests and responses", "Azure Key Vault REST API error codes", "Soft delete
// overview", "Azure Key Vault throttling guidance" and "Azure RBAC for Key Vault
// data plane operations":
//   - set, get, update, delete, list, list versions, and deleted secrets: get,
//     list, recover, purge, and purged by themselves after their retention.
//   - The first call is answered 401 with the challenge that names the authority
//     and the resource. Every call's token is checked: signature, audience,
//     issuer, expiry, and the role of its identity by operation.
//   - A version's value never changes; its attributes, tags and content type do.
//     The latest version is the one created last, enabled or not. A disabled one
//     is 403 SecretDisabled. nbf and exp are told and not enforced.
//   - A name is 1 to 127 letters, digits and hyphens, its case is kept and means
//     nothing. Values are at most 25 KiB, content types 255 characters, tags 15
//     of 256 characters. Versions are listed by their ids, not by age, and are
//     paged, 25 at most. The versions of an unknown secret are an empty list.
//   - The name of a deleted secret is 409 ObjectIsDeletedButRecoverable.
//
// The authority, by "OAuth 2.0 client credentials flow on the Microsoft identity
// platform", "Microsoft identity platform application authentication certificate
// credentials", "Workload identity federation" and "Microsoft Entra
// authentication and authorization error codes": discovery of instance and
// tenant; client secret, an assertion signed with a registered certificate's key,
// and a federated assertion.
//
// The managed identity, by "How to use managed identities for App Service and
// Azure Functions" (IDENTITY_ENDPOINT, IDENTITY_HEADER) and "Authenticate against
// Azure resources with Azure Arc-enabled servers" (IDENTITY_ENDPOINT,
// IMDS_ENDPOINT): system-assigned, and user-assigned by client, object or
// resource id. A virtual machine's own address, 169.254.169.254, is not served:
// no client can be told another.
//
// # What is not
//
// Keys, certificates, backup and restore; firewall rules; limits of rate, but as
// a [Fault]; delays between a change and its being seen. A token's nbf is not
// checked: MSAL keeps the tokens of managed identities for the whole process, and
// tests run at different times in one. For the same reason all clouds of a
// process sign tokens with one key. The wording of errors about limits is ours.
//
// # Faults
//
// [Cloud.Inject] makes calls go wrong: by operation and secret, for so many
// calls or until cleared. [Cloud.Refuse] and [Cloud.Silence] are outages of the
// network. Every call is in [Cloud.Calls]; no value and no credential is.
package azure
