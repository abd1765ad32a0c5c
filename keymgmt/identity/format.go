package identity

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/linkseal/linkseal/keymgmt/secret"
	"github.com/linkseal/linkseal/keymgmt/secret/erase"
)

const magic = "linkseal: wireguard private key\n"

// stored is what a file has: a key that is sealed, or one that is not.
type stored struct {
	public Public
	sealer string
	blob   []byte
	key    *secret.Key // nil if it is sealed
}

func (f stored) text() []byte {
	return fmt.Appendf(nil, "%spublic: %s\nsealed: %s\nkey: %s\n", magic, f.public, f.sealer, base64.StdEncoding.EncodeToString(f.blob))
}

// parse reads a sealed key.
func parse(data []byte) (f stored, err error) {
	lines := strings.Split(strings.TrimSuffix(string(data[len(magic):]), "\n"), "\n")
	var fields [3]string
	for i, name := range []string{"public", "sealed", "key"} {
		var ok bool
		if len(lines) != len(fields) {
			return f, fmt.Errorf("it has %d lines below the first; accepted: public, sealed, key", len(lines))
		}
		if fields[i], ok = strings.CutPrefix(lines[i], name+": "); !ok {
			return f, fmt.Errorf("line %d is not %q; it was changed, or not written whole", i+2, name+": …")
		}
	}
	if f.public, err = ParsePublic(fields[0]); err != nil {
		return f, err
	}
	f.sealer = fields[1]
	if f.blob, err = base64.StdEncoding.Strict().DecodeString(fields[2]); err != nil {
		return f, errors.New("line 4 is not in base64; it was changed, or not written whole")
	}
	return f, nil
}

// plain reads a key as wg(8) writes it.
func plain(data []byte) (f stored, err error) {
	erase.Do(func() {
		text := bytes.TrimSpace(data)
		octets := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		defer clear(octets)
		n, bad := base64.StdEncoding.Strict().Decode(octets, text)
		if bad != nil || n != Size {
			// Nothing of it is told: it may be most of a key.
			err = fmt.Errorf("it is not a private key; accepted: %d octets in base64, as wg genkey makes them, or a file that linkseal has sealed", Size)
			return
		}
		f.key = secret.New(octets[:n])
	})
	if err != nil {
		return f, err
	}
	f.public, err = publicOf(f.key)
	return f, err
}
