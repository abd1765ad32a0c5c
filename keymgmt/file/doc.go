// Package file is the source of keychains that are YAML files:
//
//	keys:
//	  - ckn: 96437a93ccf10d9dfe347846cce52c7d   # 1 to 32 octets
//	    cak: 00112233445566778899aabbccddeeff   # 16 or 32 octets
//	    not_before: 2026-11-01T00:00:00Z        # optional
//	    expires: 2027-02-01T00:00:00Z           # optional
//	    expires_hard: false
//	    fallback: false
//
// A tunnel's keychain has id and psk, or id and psk_text, in place of ckn and
// cak:
//
//	keys:
//	  - id: hub1-2026                           # 1 to 64 octets
//	    psk: 0011...eeff                        # 32 octets; or
//	    psk_text: correct horse                 # 1 to 256 octets, as they are
//	    not_before: 2026-11-01T00:00:00Z        # and so on
//
// Hex is taken as it is written, quoted or not.
//
// What can and cannot be zeroed: the octets read from the file are zeroed
// after parsing, and runs of 8 hex digits and more never enter the YAML
// library: it sees place holders. A psk_text, and hex that is too short to be
// a key, do pass through the library, whose strings are erased when they are
// collected (package erase). The kernel's page cache is not ours to clear.
//
// Messages have positions and never a line or an octet of the file.
package file
