package firewall

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/durable"
)

// Accepted keeps what the last configuration that was not refused has: a file that
// is torn or mistyped names no port, and its ports must not come up in clear.
type Accepted struct {
	// Boot has its text for as long as the machine runs, as the daemon goes on with
	// it; Disk the names of its devices, and no more, for the boots after.
	Boot, Disk string
}

// ThisAccepted is the appliance's.
var ThisAccepted = Accepted{Boot: "/run/linkseal-image/accepted.yaml", Disk: "/var/lib/linkseal-image/devices.json"}

// Keep notes c, which is not refused; nil for a machine without a configuration. What
// it had ports of it goes on to know: the file that comes next may be refused.
func (a Accepted) Keep(c *config.Config) error {
	if c == nil {
		return remove(a.Boot)
	}
	names, err := json.MarshalIndent(OwnedBy(c), "", "  ")
	return errors.Join(err, replace(a.Disk, names), replace(a.Boot, []byte(c.YAML())))
}

// replace leaves alone what has that content already.
func replace(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return durable.Write(path, text)
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Now is what the machine has.
type Now struct {
	// Config is what is open; nil: nothing.
	Config *config.Config
	Owned  Owned
	// Down are ports that nothing guards yet.
	Down []MTU
}

// Now is what holds with c, or with what was accepted before it if it is refused.
func (a Accepted) Now(c *config.Config, refused error) (Now, error) {
	if refused == nil {
		return Now{Config: c, Owned: OwnedBy(c)}, nil
	}
	text, err := os.ReadFile(a.Boot)
	if err == nil {
		var last *config.Config
		if last, err = config.Parse(a.Boot, string(text)); err == nil {
			return Now{Config: last, Owned: OwnedBy(last).And(OwnedBy(c))}, fmt.Errorf("what was accepted before holds on: %w", refused)
		}
	}
	owned, unread := a.named()
	now := Now{Owned: owned.And(OwnedBy(c))}
	if errors.Is(err, fs.ErrNotExist) {
		// The daemon has not guarded them in this boot, and will not.
		now.Down, err = owned.Ports, nil
	}
	return now, errors.Join(fmt.Errorf("nothing of the configuration is open, and of the one before it the ports stay down: %w", refused), err, unread)
}

// named are the devices of what was accepted last.
func (a Accepted) named() (o Owned, err error) {
	text, err := os.ReadFile(a.Disk)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		o, err = parseOwned(text)
	}
	if err != nil {
		err = fmt.Errorf("which devices were ports is not known, and networkd may bring them up in clear; mend linkseal.yaml and run systemctl restart linkseal-firewall: %s: %w", a.Disk, err)
	}
	return o, err
}

// ifname is a name that the kernel takes for an interface.
var ifname = regexp.MustCompile(`^[^/\s\x00-\x1f\x7f]{1,15}$`)

func parseOwned(text []byte) (o Owned, err error) {
	if err := json.Unmarshal(text, &o); err != nil {
		return Owned{}, err
	}
	names := slices.Clone(o.Made)
	for _, m := range o.Ports {
		names = append(names, m.Device)
	}
	for _, name := range names {
		if !ifname.MatchString(name) || name == "." || name == ".." {
			return Owned{}, fmt.Errorf("%q is no name of an interface", name)
		}
	}
	return o, nil
}
