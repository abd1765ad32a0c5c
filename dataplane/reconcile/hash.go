package reconcile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/durable"
	"github.com/linkseal/linkseal/linux/route"
)

// hashBefore is the record of how flows were spread before linkseal changed it. It
// is of one boot and one network namespace, since what it tells of ends with them.
type hashBefore struct {
	Boot      string                 `json:"boot"`
	Namespace uint64                 `json:"namespace"` // its inode
	Policy    map[plan.Family]string `json:"policy"`    // of the sysctl
}

// Remember has what is to be put back later kept in directory state.
func (k *Kernel) Remember(state string) { k.remembered = filepath.Join(state, "hash-policy.json") }

// hashed reads the record; it has no policy where there is none of this boot and
// namespace.
func (k *Kernel) hashed() (hashBefore, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	now := hashBefore{Boot: strings.TrimSpace(string(boot)), Namespace: k.ns.Inode(), Policy: make(map[plan.Family]string)}
	if err != nil || k.remembered == "" {
		return now, err
	}
	b, err := os.ReadFile(k.remembered)
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil
	}
	var was hashBefore
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil || was.Policy == nil || was.Boot != now.Boot || was.Namespace != now.Namespace {
		return now, nil // what cannot be read says nothing
	}
	return was, nil
}

// observeHash fills in how flows are spread. What somebody else has changed since
// is theirs.
func (k *Kernel) observeHash(o *plan.Observed) error {
	o.HashPorts, o.HashBefore = make(map[plan.Family]bool), make(map[plan.Family]string)
	was, err := k.hashed()
	if err != nil {
		return err
	}
	for f, is := range families {
		policy, err := k.routes.HashPolicy(is)
		if err != nil {
			return err
		}
		o.HashPorts[f] = policy == route.ByPorts
		if before, other := was.Policy[f]; other && o.HashPorts[f] {
			o.HashBefore[f] = before
		}
	}
	return nil
}

// hashByPorts remembers how it was, and changes it.
func (k *Kernel) hashByPorts(f plan.Family) error {
	policy, err := k.routes.HashPolicy(families[f])
	if err != nil || policy == route.ByPorts {
		return err
	}
	was, err := k.hashed()
	if err == nil {
		was.Policy[f] = policy
		err = k.keepHash(was)
	}
	if err != nil {
		return fmt.Errorf("%s flows: remember policy %s: %w", f, policy, err)
	}
	return k.routes.SetHashPolicy(families[f], route.ByPorts)
}

// hashAsBefore puts it back, unless somebody has changed it since.
func (k *Kernel) hashAsBefore(f plan.Family) error {
	was, err := k.hashed()
	before, there := was.Policy[f]
	if err != nil || !there {
		return err
	}
	policy, err := k.routes.HashPolicy(families[f])
	if err == nil && policy == route.ByPorts {
		err = k.routes.SetHashPolicy(families[f], before)
	}
	if err != nil {
		return err
	}
	delete(was.Policy, f)
	return k.keepHash(was)
}

func (k *Kernel) keepHash(was hashBefore) error {
	if k.remembered == "" {
		return nil
	}
	if len(was.Policy) == 0 {
		return os.Remove(k.remembered)
	}
	if err := os.MkdirAll(filepath.Dir(k.remembered), 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(was)
	if err != nil {
		return err
	}
	return durable.Write(k.remembered, b)
}
