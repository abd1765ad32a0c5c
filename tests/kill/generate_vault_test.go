package kill

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/linkseal/linkseal/tests/azure"
)

// vaulted is a vault and a keychain in it that nobody else uses.
type vaulted struct {
	*azure.Cloud
	bin, config, cak, ckn string
}

// newVaulted is keychain number n of a vault.
func newVaulted(t *testing.T, c *azure.Cloud, n int) *vaulted {
	t.Helper()
	dir := t.TempDir()
	v := &vaulted{c, linkseal(t), filepath.Join(dir, "linkseal.yaml"), fmt.Sprintf("cak-%d", n), fmt.Sprintf("ckn-%d", n)}
	text := fmt.Sprintf(`version: 1
name: ce-ams-1
state: %[1]s/state
keychains:
  link1:
    source: azure-key-vault
    vault: %[2]s
    endpoint: %[3]s
    ca: %[1]s/ca.pem
    cak: %[4]s
    ckn: %[5]s
    credential: {type: client-secret, client_id: %[6]s, tenant_id: %[7]s, secret_file: %[1]s/secret}
    rotation: {every: 30d}
ports:
  - {name: link1, device: eth1, interface: macsec1, keychain: link1}
`, dir, c.URL(), c.Endpoint(), v.cak, v.ckn, azure.AppID, azure.Tenant)
	check(t, os.WriteFile(v.config, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "ca.pem"), c.CA(), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte(azure.AppSecret), 0o600), os.Mkdir(filepath.Join(dir, "state"), 0o700))
	return v
}

// generate runs the verb, whose process id started is told.
func (v *vaulted) generate(t *testing.T, started chan<- int, more ...string) ran {
	t.Helper()
	return run(t, v.Env(), append([]string{v.bin, "keys", "generate", "link1", "--config", v.config, "--json"}, more...), started)
}

// victim is who is killed.
type victim string

const (
	whole  victim = "the verb"
	helper victim = "its helper" // that talks to the vault
)

// dying runs the verb and kills victim at its nth call; reached is false if it
// does not make so many.
func (v *vaulted) dying(t *testing.T, n int, who victim, done bool, more ...string) (r ran, at azure.Call, reached bool) {
	t.Helper()
	type struck struct {
		call azure.Call
		err  error
	}
	pids, strikes, result := make(chan int, 1), make(chan bool, 1), make(chan struck, 1)
	end := v.Inject(azure.Fault{Skip: n - 1, Times: 1, Effect: azure.Die(done, func(c azure.Call) {
		strikes <- true
		pid := <-pids
		if who == helper {
			all := Children(pid)
			if len(all) != 1 {
				result <- struck{c, fmt.Errorf("the verb has the children %v, want one", all)}
				return
			}
			pid = all[0]
		}
		result <- struck{c, End(pid)}
	})})
	r = v.generate(t, pids, more...)
	end()
	select {
	case reached = <-strikes:
		s := <-result
		check(t, s.err)
		at = s.call
	default:
	}
	if want := map[victim]int{whole: -1, helper: 1}[who]; reached && r.exit != want {
		t.Errorf("%s killed at %s %s: %v", who, at.Op, at.Secret, r)
	}
	return r, at, reached
}

// pairs are the versions of both secrets by pair, each of which has at most one
// of each.
func (v *vaulted) pairs(t *testing.T) map[string]map[string]azure.Version {
	t.Helper()
	all := map[string]map[string]azure.Version{}
	for _, name := range []string{v.cak, v.ckn} {
		s, _ := v.Secret(name)
		for _, version := range s.Versions {
			id := version.Tags["linkseal-pair"]
			if all[id] == nil {
				all[id] = map[string]azure.Version{}
			}
			if _, twice := all[id][name]; twice || id == "" || version.Disabled {
				t.Fatalf("pair %q has another %s: %+v", id, name, version.Attributes)
			}
			all[id][name] = version
		}
	}
	return all
}

// judge demands so many pairs, all whole, and that the one that the verb has
// told is there with the CKN that it told.
func (v *vaulted) judge(t *testing.T, r ran, most int) {
	t.Helper()
	var told struct{ CKN, Pair string }
	if err := json.Unmarshal([]byte(r.out), &told); err != nil || r.exit != 0 {
		t.Fatalf("run again: %v, %v", err, r)
	}
	all := v.pairs(t)
	for id, p := range all {
		if len(p) != 2 {
			t.Errorf("pair %s is not whole", id)
		}
	}
	if len(all) < 1 || len(all) > most || all[told.Pair][v.ckn].Value != told.CKN {
		t.Errorf("%d pairs, want 1 to %d; told is pair %s, CKN %s: %v", len(all), most, told.Pair, told.CKN, r)
	}
	out := run(t, v.Env(), []string{v.bin, "keys", "list", "--config", v.config, "--json"}, nil)
	if out.exit != 0 || !strings.Contains(out.out, told.CKN) || strings.Contains(out.out, "half") {
		t.Errorf("keys list: %v", out)
	}
}

// halfTold is how the verb tells of half a pair.
var halfTold = regexp.MustCompile(`--pair ([0-9a-f]{32}) completes it`)

// TestGenerateInVault kills keys generate, or the helper alone, at each call of
// the vault: before the vault does what is asked, and when it is done and before
// it is answered. Run again with the same --pair it makes that pair whole, and no
// other; without, it makes another and names the half, which --pair completes.
func TestGenerateInVault(t *testing.T) {
	var mu sync.Mutex
	kills, at := 0, map[azure.Op]int{}
	t.Run("cases", func(t *testing.T) {
		for i, c := range []struct {
			who  victim
			done bool
			id   string // of the pair; empty: random
		}{{whole, false, "p"}, {whole, true, "p"}, {helper, false, "p"}, {helper, true, "p"}, {whole, false, ""}, {whole, true, ""}} {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				cloud, err := azure.Start(azure.Options{})
				check(t, err)
				t.Cleanup(func() { cloud.Close() })
				for n, reached := 1, true; reached; n++ {
					if !spread(n+i+1, 8) {
						continue
					}
					var op azure.Op
					if op, reached = newVaulted(t, cloud, n).dies(t, n, c.who, c.done, c.id); reached {
						mu.Lock()
						kills++
						at[op]++
						mu.Unlock()
					}
				}
			})
		}
	})
	if kills < 10 || at[azure.OpSet] == 0 {
		t.Errorf("%d kills, at %v: there are not so few", kills, at)
	}
	figure("keys generate in a vault, or its helper alone, killed %d times, at calls %v, before and after each was done: run again it ends with each pair whole", kills, at)
}

// dies kills who at call n, and runs the verb again. reached is false if there
// is no such call.
func (v *vaulted) dies(t *testing.T, n int, who victim, done bool, id string) (op azure.Op, reached bool) {
	t.Helper()
	var more []string
	if id != "" {
		more = []string{"--pair", id}
	}
	r, call, reached := v.dying(t, n, who, done, more...)
	if !reached {
		v.judge(t, r, 1)
		return "", false
	}
	v.pairs(t) // none is mixed
	r = v.generate(t, nil, more...)
	most := 1
	if id == "" {
		most = 2
		if half := halfTold.FindStringSubmatch(r.errs); half != nil {
			if again := v.generate(t, nil, "--pair", half[1]); again.exit != 0 {
				t.Errorf("the half is not completed: %v", again)
			}
		}
	}
	if v.judge(t, r, most); t.Failed() {
		t.Fatalf("%s killed at call %d, %s %s, done: %v, --pair %q", who, n, call.Op, call.Secret, done, id)
	}
	return call.Op, true
}
