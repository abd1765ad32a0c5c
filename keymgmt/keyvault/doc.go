// Package keyvault is the source of keychains that are in an Azure Key Vault.
// It alone imports the Azure SDK.
//
// # What is in the vault
//
// A keychain of MACsec keys is two secrets, of which each version is one
// value: a CAK, or a CKN, in hex. Two versions that carry the same pair id in
// the tag linkseal-pair are a pair: one key. They are two writes and not
// atomic, and so a pair counts only when it has exactly one enabled version of
// either secret and both say the same: nbf and exp (the key's window, its end
// exclusive), and the tags
//
//	linkseal-pair          1 to 64 letters, digits, dots, colons, dashes, underscores
//	linkseal-owner         who rotates; rotation alone looks at it
//	linkseal-fallback      true: preferred last
//	linkseal-expires-hard  true: cut at exp even while it carries traffic
//
// CAK and CKN have equal lengths, 16 or 32 octets, as Azure demands.
//
// A keychain of PSKs is one secret: each enabled version is a PSK, with the tags
// of a pair but for linkseal-pair, in whose place it has
//
//	linkseal-id            the PSK's id, of the form of a pair id; without it,
//	                       the id is the version's
//
// Its content type says how the value is to be read: text/x-hex is 32 octets in
// hex, text/plain is text; without either 64 hex digits are 32 octets, and
// anything else is text. It counts when the value is first read. A PSK without
// nbf starts when it was made, by the vault's clock: both ends of a tunnel agree
// which is the newest, whenever each has seen it first.
//
// A keychain of a certificate is one certificate of the vault, read as the secret
// of the same name that the vault keeps for it: PEM (application/x-pem-file) or
// PKCS#12 (application/x-pkcs12) with its private key. Each enabled version is in
// the place of a PSK. The vault makes them; linkseal writes none.
//
// The vault does not enforce nbf and exp (it serves a secret outside of them,
// Azure's "About Key Vault secrets"); keychain.Select does.
//
// # What never gets worse
//
// A vault that is slow, throttled, failing, gone or lying changes nothing: the
// last good keychain stays. A pair that was good once leaves only when one of
// its versions is disabled, when its window ended more than a day ago, or when
// the whole secret was replaced by another of that name. Whatever else becomes
// of it is refused and named, and the pair stays as it was: a vault cannot
// delete, alter or retag one version of a secret honestly. Values are fetched
// once.
//
// # Where the octets are
//
// The SDK hands values out as Go strings, which nobody can zero. Helper
// therefore runs a Client in a short-lived child process, and the octets come
// back through a pipe into a secret.Key. Client in this process is for verbs
// that end at once, and for tests.
package keyvault
