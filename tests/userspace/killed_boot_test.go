package userspace

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/tests/kill"
	"github.com/linkseal/linkseal/tests/lab"
)

// TestBootKilled kills a daemon before each change that its first life makes in
// its state directory: it starts there with nothing, takes its keys from the
// vault, seals them and is stopped. Whatever is left, the next seals them, and the
// one after has them where no vault is in reach.
func TestBootKilled(t *testing.T) {
	t.Parallel()
	k := watched(t, lab.Port{}, true)
	var at []string
	for n := 0; ; n++ {
		if !soak() && n%12 != 11 {
			continue
		}
		check(t, os.RemoveAll(k.west.State()))
		step, reached := k.firstLife(t, n)
		if !reached {
			break
		}
		at = append(at, step)
		k.life(t, "to have sealed its keys", func(c status.Keychain) bool { return !c.Sealed && k.west.Sealed() })
		check(t, k.cloud.Refuse(true))
		k.life(t, "to have its keys though the vault is away", func(c status.Keychain) bool { return c.Sealed })
		check(t, k.cloud.Refuse(false))
	}
	if all := strings.Join(at, ", "); len(at) < 2 || soak() && !strings.Contains(all, "renameat state/keys.sealed.0") {
		t.Errorf("killed at %s: there are more steps", all)
	}
	figure(t, "first start, keys taken and sealed, stop: the daemon killed at each of %d changes of its state directory, and had its keys afterwards: %s", len(at), strings.Join(at, ", "))
}

// firstLife starts west's daemon, whose death is before step n, and stops it when
// it has sealed its keys. reached is false if it has not come to that step.
func (k *killable) firstLife(t *testing.T, n int) (at string, reached bool) {
	t.Helper()
	falls, hit, end := k.aim(blow{who: daemon, step: func(kill.Step) bool { n--; return n < 0 }}, nil)
	check(t, k.west.Start())
	eventually(t, "west to have sealed its keys, or to die", func() bool {
		c, ok := k.keychain(t)
		return len(falls) > 0 || ok && len(c.Keys) == 1 && k.west.Sealed()
	})
	check(t, k.west.Stop(context.Background()))
	end()
	if len(falls) == 0 {
		return "", false
	}
	return (<-hit).at, true
}

// life starts west's daemon, and kills it when its one key is as it should be.
func (k *killable) life(t *testing.T, what string, good func(status.Keychain) bool) {
	t.Helper()
	check(t, k.west.Start())
	eventually(t, "west "+what, func() bool {
		c, ok := k.keychain(t)
		return ok && len(c.Keys) == 1 && c.Keys[0].Pair == k.last.ID && good(c)
	})
	check(t, k.west.Kill())
}

// keychain is west's, once its daemon tells.
func (k *killable) keychain(t *testing.T) (c status.Keychain, ok bool) {
	s, err := status.NewClient(k.west.Socket()).Status(t.Context())
	if err != nil || len(s.Keychains) != 1 {
		return c, false
	}
	return s.Keychains[0], true
}
