package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/tests/leak"
)

// PSKs puts a new PSK of that id into the keychain files of all appliances, in
// the place of what is there.
func (l *Lab) PSKs(id string) error {
	octets := make([]byte, 32)
	rand.Read(octets) // never fails
	text := fmt.Appendf(nil, "keys:\n  - {id: %s, psk: %s}\n", id, hex.EncodeToString(octets))
	for _, a := range l.Appliances {
		a.hides("PSK "+id, octets)
		if err := a.replaceKeys(text); err != nil {
			return err
		}
	}
	return nil
}

// TakeKeys brings from's keychain file to the appliance, as an operator does
// with keys in files.
func (a *Appliance) TakeKeys(from *Appliance) error {
	text, err := os.ReadFile(from.KeysFile())
	if err != nil {
		return err
	}
	if err := a.replaceKeys(text); err != nil {
		return err
	}
	c, err := file.Load(a.KeysFile())
	if err != nil {
		return err
	}
	for _, p := range c.PSKs {
		for _, who := range []*Appliance{a, from} {
			who.hides("PSK "+p.ID, p.Secret.Bytes())
		}
		p.Secret.Zero()
	}
	return nil
}

// PSKIDs are those in its keychain file.
func (a *Appliance) PSKIDs() (ids []string, err error) {
	c, err := file.Load(a.KeysFile())
	if err != nil {
		return nil, err
	}
	for _, p := range c.PSKs {
		ids = append(ids, p.ID)
		p.Secret.Zero()
	}
	return ids, nil
}

func (a *Appliance) replaceKeys(text []byte) error {
	return replace(a.KeysFile(), text, 0o600)
}

// hides names octets that may not be found outside of the appliance when it ends.
func (a *Appliance) hides(name string, octets []byte) {
	same := func(s leak.Secret) bool { return s.Name == name && slices.Equal(s.Octets, octets) }
	if !slices.ContainsFunc(a.hidden, same) {
		a.hidden = append(a.hidden, leak.Secret{Name: name, Octets: slices.Clone(octets)})
	}
}

// Tunnels asks the daemon for its tunnels.
func (a *Appliance) Tunnels(ctx context.Context) ([]status.Tunnel, error) {
	s, err := a.status(ctx)
	return s.Tunnels, err
}

// WaitTunnels is Wait for all tunnels of the appliances, of which each has to
// have one. It returns those of each.
func WaitTunnels(ctx context.Context, what string, ok func(status.Tunnel) bool, appliances ...*Appliance) ([][]status.Tunnel, error) {
	all := make([][]status.Tunnel, len(appliances))
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for asked := 1; ; asked++ {
		if asked == often {
			tick.Reset(askLater)
		}
		last := ""
		for i, a := range appliances {
			if err := a.ended(); err != nil {
				return nil, fmt.Errorf("waiting for %s: %w", what, err)
			}
			var err error
			all[i], err = a.Tunnels(ctx)
			bad := slices.IndexFunc(all[i], func(t status.Tunnel) bool { return !ok(t) })
			switch {
			case err != nil:
				last += fmt.Sprintf("; %s: %v", a.Name, err)
			case len(all[i]) == 0:
				last += fmt.Sprintf("; %s has no tunnels", a.Name)
			case bad >= 0:
				t := all[i][bad]
				last += fmt.Sprintf("; %s: tunnel %s is %s, %s", a.Name, t.Name, t.State, t.Problem)
			}
		}
		if last == "" {
			return all, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w%s", what, context.Cause(ctx), last)
		}
	}
}

// Carried tells that all members of a tunnel are live, under the PSK of that id;
// any, if it is empty.
func Carried(t status.Tunnel, id string) bool {
	if t.State != status.Secured {
		return false
	}
	for _, m := range t.Members {
		if !m.Live || id != "" && m.KeyID != id {
			return false
		}
	}
	return true
}
