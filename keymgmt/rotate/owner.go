package rotate

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/linkseal/linkseal/linux/durable"
)

// ownerName is the file in the state directory that tells this appliance from
// all others.
const ownerName = "owner-id"

// identity is what is in it.
type identity struct {
	// Owner is "NAME/ID": the appliance's name when the ID was made, and 16
	// random hex digits.
	Owner string `json:"owner"`
	// Machine is a digest of the id of the machine where it was made; empty: that
	// had none.
	Machine string `json:"machine"`
	// Elsewhere is that of another machine where it was found under the same
	// name, which was told.
	Elsewhere string `json:"elsewhere,omitempty"`
}

var (
	ownerForm = regexp.MustCompile(`^.*/[0-9a-f]{16}$`)
	bareForm  = regexp.MustCompile(`^[0-9a-f]{16}$`) // of before the file named machines
)

// Owner is what marks the pairs of the appliance called name, on the machine
// whose id is machine (machine-id(5); empty: it has none), whose state directory
// is state. It is made at the first use, and stays when either the name or the
// machine is another than then. If both are, the directory is a copy of that of
// another appliance, which former names, and a new one is made. On another machine
// under the same name it may have moved or be a copy: former is owner then, once.
func Owner(state, name, machine string) (owner, former string, err error) {
	path := filepath.Join(state, ownerName)
	fail := func(err error) (string, string, error) {
		return "", "", fmt.Errorf("identity of this appliance as an owner of keys: %w", err)
	}
	here := digest(machine)
	is := identity{Machine: here}
	b, err := os.ReadFile(path)
	switch bare := strings.TrimSpace(string(b)); {
	case errors.Is(err, fs.ErrNotExist):
		is.Owner = newOwner(name)
	case err != nil:
		return fail(err)
	case bareForm.MatchString(bare):
		is.Owner = name + "/" + bare
	default:
		var was identity
		if err := json.Unmarshal(b, &was); err != nil || !ownerForm.MatchString(was.Owner) {
			return fail(fmt.Errorf("%s is malformed; accepted: {\"owner\": \"NAME/ID\"} with an ID of 16 hex digits; remove it to be a new owner", path))
		}
		named, same := strings.HasPrefix(was.Owner, name+"/"), here != "" && here == was.Machine
		switch {
		case !named && !same:
			is.Owner, former = newOwner(name), was.Owner
		case !same && here != "" && was.Machine != "":
			// The machine noted stays: a copy that is renamed later is told from
			// the first.
			is = identity{Owner: was.Owner, Machine: was.Machine, Elsewhere: here}
			if was.Elsewhere != here {
				former = was.Owner
			}
		default:
			if is = was; was.Machine == "" {
				is.Machine = here
			}
		}
	}
	text, err := json.Marshal(is)
	if err != nil {
		return fail(err)
	}
	if text = append(text, '\n'); !bytes.Equal(text, b) {
		if err := durable.Write(path, text); err != nil {
			return fail(err)
		}
	}
	return is.Owner, former, nil
}

func newOwner(name string) string {
	id := make([]byte, 8)
	rand.Read(id) // never fails
	return name + "/" + hex.EncodeToString(id)
}

// digest names a machine without telling its id, as machine-id(5) asks for.
func digest(machine string) string {
	if machine == "" {
		return ""
	}
	h := hmac.New(sha256.New, []byte(machine))
	h.Write([]byte("linkseal owner"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}
