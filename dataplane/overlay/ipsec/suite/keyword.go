package suite

import "strings"

// Keyword is the keyword of an algorithm that charon calls by IANA's name in
// its log and in list-sas, with the key's length behind it: aes256gcm16 of
// AES_GCM_16_256. A name that it does not know it returns in lower case.
func Keyword(name string) string {
	part := strings.Split(name, "_")
	last := part[len(part)-1]
	switch {
	case len(part) == 4 && part[0] == "AES" && (part[1] == "GCM" || part[1] == "CCM"):
		return "aes" + last + strings.ToLower(part[1]) + part[2]
	case len(part) == 3 && part[1] == "CBC":
		return strings.ToLower(part[0]) + last
	case strings.HasPrefix(name, "CHACHA20_POLY1305"):
		return "chacha20poly1305"
	case strings.HasPrefix(name, "HMAC_SHA2_") && len(part) == 4:
		return "sha" + part[2]
	case strings.HasPrefix(name, "PRF_HMAC_SHA2_"):
		return "prfsha" + last
	case strings.HasPrefix(name, "HMAC_SHA1"):
		return "sha1"
	case name == "PRF_HMAC_SHA1":
		return "prfsha1"
	case strings.HasPrefix(name, "HMAC_MD5"):
		return "md5"
	case name == "PRF_HMAC_MD5":
		return "prfmd5"
	case name == "NO_EXT_SEQ":
		return "noesn"
	case name == "EXT_SEQ":
		return "esn"
	case name == "CURVE_25519", name == "CURVE_448", strings.HasPrefix(name, "MODP_"), strings.HasPrefix(name, "ECP_"):
		return strings.ReplaceAll(strings.ToLower(name), "_", "")
	}
	return strings.ToLower(name)
}

// Words turns proposals as charon logs them, IKE:A/B/C, ESP:D/E, into keywords.
func Words(logged string) string {
	var all []string
	for p := range strings.SplitSeq(logged, ", ") {
		_, algorithms, ok := strings.Cut(p, ":")
		if !ok {
			algorithms = p
		}
		var words []string
		for name := range strings.SplitSeq(algorithms, "/") {
			if w := Keyword(name); w != "noesn" {
				words = append(words, w)
			}
		}
		all = append(all, strings.Join(words, "-"))
	}
	return strings.Join(all, ", ")
}
