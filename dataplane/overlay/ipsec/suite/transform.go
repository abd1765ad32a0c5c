package suite

// Kind is what a transform of a proposal is for (RFC 7296 3.3.2).
type Kind uint8

const (
	Encryption Kind = iota // ENCR
	Integrity              // INTEG
	PRF
	KeyExchange // KE: Diffie-Hellman
	Sequence    // ESN
)

func (k Kind) String() string {
	return [...]string{"encryption", "integrity", "PRF", "key exchange", "sequence numbers"}[k]
}

// Transform is one algorithm of a proposal, by strongSwan's keyword.
type Transform struct {
	Name string
	Kind Kind
	// AEAD encrypts and authenticates: it takes no integrity transform.
	AEAD bool
	// IV and ICV in octets, and what ESP pads to: block, 4 at the least.
	IV, ICV, Block int
	// Weak says why it must not be used; empty: it may.
	Weak string
	// Azure is its name in a gateway's custom policy, by protocol; empty: no
	// such name.
	AzureIKE, AzureESP string
	// Userspace: kernel-libipsec has it.
	Userspace bool
}

const (
	rfc8247 = "RFC 8247"
	rfc8221 = "RFC 8221"
)

// transforms are those that charon 5.9 knows, as far as a policy may want or
// must refuse them. Azure's names are of the gateway's list of custom policies;
// what is weak and Azure accepts yet (SHA1, DH group 24) has its name too.
var transforms = index(
	cbc("aes128", "AES128"), cbc("aes192", "AES192"), cbc("aes256", "AES256"),
	gcm("aes128gcm16", 16, "GCMAES128", "GCMAES128", ""), gcm("aes192gcm16", 16, "", "GCMAES192", ""), gcm("aes256gcm16", 16, "GCMAES256", "GCMAES256", ""),
	gcm("aes128gcm12", 12, "", "", shortTag), gcm("aes192gcm12", 12, "", "", shortTag), gcm("aes256gcm12", 12, "", "", shortTag),
	gcm("aes128gcm8", 8, "", "", shortTag), gcm("aes192gcm8", 8, "", "", shortTag), gcm("aes256gcm8", 8, "", "", shortTag),
	aead("aes128ccm16", 16, ""), aead("aes192ccm16", 16, ""), aead("aes256ccm16", 16, ""),
	aead("aes128ccm12", 12, shortTag), aead("aes192ccm12", 12, shortTag), aead("aes256ccm12", 12, shortTag),
	aead("aes128ccm8", 8, shortTag), aead("aes192ccm8", 8, shortTag), aead("aes256ccm8", 8, shortTag),
	aead("chacha20poly1305", 16, ""),
	Transform{Name: "aes128ctr", Kind: Encryption, IV: 8, Block: 4}, Transform{Name: "aes256ctr", Kind: Encryption, IV: 8, Block: 4},
	Transform{Name: "camellia128", Kind: Encryption, IV: 16, Block: 16}, Transform{Name: "camellia256", Kind: Encryption, IV: 16, Block: 16},
	Transform{Name: "3des", Kind: Encryption, IV: 8, Block: 8, Weak: "blocks of 64 bits (Sweet32)"},
	Transform{Name: "des", Kind: Encryption, IV: 8, Block: 8, Weak: "keys of 56 bits"},
	Transform{Name: "cast128", Kind: Encryption, IV: 8, Block: 8, Weak: "blocks of 64 bits (Sweet32)"},
	Transform{Name: "blowfish128", Kind: Encryption, IV: 8, Block: 8, Weak: "blocks of 64 bits (Sweet32)"},
	Transform{Name: "blowfish256", Kind: Encryption, IV: 8, Block: 8, Weak: "blocks of 64 bits (Sweet32)"},
	Transform{Name: "null", Kind: Encryption, Block: 4, Weak: "no encryption"},
	aead("aes128gmac", 16, "no encryption"), aead("aes192gmac", 16, "no encryption"), aead("aes256gmac", 16, "no encryption"),

	mac("sha256", 16, "", "SHA256", "SHA256"), mac("sha384", 24, "", "SHA384", ""), mac("sha512", 32, "", "", ""),
	mac("sha1", 12, "SHA-1 is on its way out ("+rfc8247+", "+rfc8221+")", "SHA1", "SHA1"),
	mac("md5", 12, "MD5 is broken", "", ""),
	mac("sha256_96", 12, "a truncation that no standard has", "", ""),
	mac("aesxcbc", 12, "", "", ""), mac("aescmac", 12, "", "", ""),

	prf("prfsha256", "", "SHA256"), prf("prfsha384", "", "SHA384"), prf("prfsha512", "", ""),
	prf("prfsha1", "SHA-1 is on its way out ("+rfc8247+")", "SHA1"), prf("prfmd5", "MD5 is broken", ""),
	prf("prfaesxcbc", "", ""), prf("prfaescmac", "", ""),

	ke("ecp256", "", "ECP256", "ECP256"), ke("ecp384", "", "ECP384", "ECP384"), ke("ecp521", "", "", ""),
	ke("curve25519", "", "", ""), ke("curve448", "", "", ""),
	ke("modp2048", "", "DHGroup14", "PFS2048"), ke("modp3072", "", "", ""), ke("modp4096", "", "", ""), ke("modp6144", "", "", ""), ke("modp8192", "", "", ""),
	ke("modp2048s256", "DH group 24 is of unknown origin ("+rfc8247+")", "DHGroup24", "PFS24"),
	ke("modp2048s224", "DH group 23 is of unknown origin ("+rfc8247+")", "", ""),
	ke("modp1024s160", "DH group 22 has 1024 bits ("+rfc8247+")", "", ""),
	ke("modp768", "DH group 1 has 768 bits", "", ""), ke("modp1024", "DH group 2 has 1024 bits", "", ""), ke("modp1536", "DH group 5 has 1536 bits", "", ""),
	ke("ecp192", "a curve of 192 bits", "", ""), ke("ecp224", "a curve of 224 bits", "", ""),
	ke("ecp224bp", "a curve of 224 bits", "", ""), ke("ecp256bp", "", "", ""), ke("ecp384bp", "", "", ""), ke("ecp512bp", "", "", ""),

	Transform{Name: "esn", Kind: Sequence}, Transform{Name: "noesn", Kind: Sequence, Userspace: true},
)

const shortTag = "a tag shorter than 16 octets"

// aliases are other keywords that charon has for the same.
var aliases = map[string]string{
	"aes": "aes128", "aes128gcm": "aes128gcm16", "aes192gcm": "aes192gcm16", "aes256gcm": "aes256gcm16",
	"aes128gcm128": "aes128gcm16", "aes192gcm128": "aes192gcm16", "aes256gcm128": "aes256gcm16",
	"aes128gcm96": "aes128gcm12", "aes192gcm96": "aes192gcm12", "aes256gcm96": "aes256gcm12",
	"aes128gcm64": "aes128gcm8", "aes192gcm64": "aes192gcm8", "aes256gcm64": "aes256gcm8",
	"aes128ccm": "aes128ccm16", "aes192ccm": "aes192ccm16", "aes256ccm": "aes256ccm16",
	"aes128ccm128": "aes128ccm16", "aes192ccm128": "aes192ccm16", "aes256ccm128": "aes256ccm16",
	"chacha20poly1305compat": "chacha20poly1305",
	"sha":                    "sha1", "sha2_256": "sha256", "sha2_384": "sha384", "sha2_512": "sha512", "sha256bmw": "sha256_96",
	"x25519": "curve25519", "x448": "curve448", "blowfish": "blowfish128", "camellia": "camellia128",
}

func cbc(name, azure string) Transform {
	return Transform{Name: name, Kind: Encryption, IV: 16, Block: 16, AzureIKE: azure, AzureESP: azure, Userspace: true}
}

func gcm(name string, icv int, ike, esp, weak string) Transform {
	t := aead(name, icv, weak)
	t.AzureIKE, t.AzureESP = ike, esp
	return t
}

func aead(name string, icv int, weak string) Transform {
	return Transform{Name: name, Kind: Encryption, AEAD: true, IV: 8, ICV: icv, Block: 4, Weak: weak, Userspace: weak == ""}
}

func mac(name string, icv int, weak, ike, esp string) Transform {
	return Transform{Name: name, Kind: Integrity, ICV: icv, Weak: weak, AzureIKE: ike, AzureESP: esp, Userspace: true}
}

func prf(name, weak, azure string) Transform {
	return Transform{Name: name, Kind: PRF, Weak: weak, AzureIKE: azure, Userspace: true}
}

func ke(name, weak, ike, esp string) Transform {
	return Transform{Name: name, Kind: KeyExchange, Weak: weak, AzureIKE: ike, AzureESP: esp, Userspace: true}
}

func index(all ...Transform) map[string]Transform {
	m := make(map[string]Transform, len(all))
	for _, t := range all {
		m[t.Name] = t
	}
	return m
}
