package keyvault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/tests/azure"
)

// journal is what was logged.
type journal struct {
	slog.Handler
	mu    sync.Mutex
	lines []string
	wrote chan struct{} // a token when there is more
}

func newJournal() (*journal, *slog.Logger) {
	j := &journal{wrote: make(chan struct{}, 1)}
	return j, slog.New(slog.NewTextHandler(j, nil))
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	select {
	case j.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

// count is how many lines have all of parts.
func (j *journal) count(parts ...string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(l, p) }) {
			n++
		}
	}
	return n
}

// told are the texts of the faults.
func (j *journal) told() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []string
	for _, l := range j.lines {
		if _, text, ok := strings.Cut(l, " error="); ok {
			text, _, _ = strings.Cut(text, " keys=")
			out = append(out, text)
		}
	}
	return out
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "")
}

// inMemory is a cloud on pipes, and a client of its vault.
func inMemory(t *testing.T, o azure.Options) (*azure.Cloud, *Client) {
	t.Helper()
	o.Listener = azure.NewPipe(netip.MustParseAddrPort("127.0.0.1:443"))
	c, err := azure.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	v, err := open(configOf(t, c), c.Dial, nil)
	if err != nil {
		t.Fatal(err)
	}
	v.http.IdleConnTimeout = 0 // or each poll costs a handshake
	return c, v
}

// scenario is a vault that something happens to.
type scenario struct {
	name  string
	begin func(*azure.Cloud) (end func())
	kind  FaultKind // that is told; empty: nothing is
	// blind tells that what is new in the vault meanwhile is not seen.
	blind bool
}

func scenarios() []scenario {
	inject := func(op azure.Op, secret string, e azure.Effect) func(*azure.Cloud) func() {
		return func(c *azure.Cloud) func() { return c.Inject(azure.Fault{Op: op, Secret: secret, Effect: e}) }
	}
	any := func(e azure.Effect) func(*azure.Cloud) func() { return inject(azure.AnyVault, "", e) }
	first := func(secret string) func(c *azure.Cloud) string {
		return func(c *azure.Cloud) string { s, _ := c.Secret(secret); return s.Versions[0].ID }
	}
	return []scenario{
		{"outage", func(c *azure.Cloud) func() { c.Refuse(true); return func() { c.Refuse(false) } }, Unreachable, true},
		{"hangs", any(azure.Hang()), Unreachable, true},
		{"too slow", any(azure.Delay(time.Minute)), Unreachable, true},
		{"slow", any(azure.Delay(5 * time.Second)), "", false},
		{"throttled", any(azure.Status(429, 0)), Throttled, true},
		{"throttled, retry after", any(azure.Status(429, 20*time.Minute)), Throttled, true},
		{"unauthorised", any(azure.Status(401, 0)), Unauthorised, true},
		{"forbidden", any(azure.Status(403, 0)), Forbidden, true},
		{"not found", any(azure.Status(404, 0)), NotFound, true},
		{"fails", any(azure.Status(500, 0)), ServerError, true},
		{"unavailable", any(azure.Status(503, time.Minute)), ServerError, true},
		{"resets", any(azure.Reset()), Unreachable, true},
		{"truncates", any(azure.Truncate()), Unreachable, true},
		{"garbage", any(azure.Garbage()), Malformed, true},
		{"huge", any(azure.Huge(maxBody)), Malformed, true},
		{"no values", inject(azure.OpGet, "", azure.Status(403, 0)), Forbidden, true},
		{"no tokens", func(c *azure.Cloud) func() {
			end := c.Inject(azure.Fault{Op: azure.AnyAuthority, Effect: azure.Status(503, 0)})
			time.Sleep(time.Hour) // one that was had just before is good for so long
			return end
		}, ServerError, true},
		{"lists nothing", inject(azure.OpVersions, "", azure.Omit()), Lying, true},
		{"lists without end", inject(azure.OpVersions, "", azure.Endless()), Lying, true},
		{"leaves a version out", func(c *azure.Cloud) func() {
			return c.Inject(azure.Fault{Op: azure.OpVersions, Effect: azure.Omit(first("link1-cak")(c))})
		}, Lying, false},
		{"retags", inject(azure.OpVersions, "link1-cak", azure.Retag(map[string]string{tagPair: "z"})), Lying, true},
		{"other values", inject(azure.OpGet, "", azure.OtherValue(cakOf(77))), RefusedPair, true},
		{"a half-written pair", func(c *azure.Cloud) func() {
			id := c.Put("link1-ckn", cakOf(50), map[string]string{tagPair: "half"}, azure.Attributes{})
			return func() { c.Disable("link1-ckn", id) }
		}, RefusedPair, false},
		{"a second CAK", func(c *azure.Cloud) func() {
			id := c.Put("link1-cak", cakOf(51), map[string]string{tagPair: "a"}, azure.Attributes{})
			return func() { c.Disable("link1-cak", id) }
		}, RefusedPair, false},
	}
}

// A month for each thing that befalls a vault, twice in it: the keychain never
// gets worse, what is wrong is told once when it begins and once when it ends,
// and what was new meanwhile is found when it is over.
func TestMonth(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { month(t, sc) })
		})
	}
}

func month(t *testing.T, sc scenario) {
	c, v := inMemory(t, azure.Options{})
	put(c, "a", 1, azure.Attributes{})
	j, log := newJournal()
	s := NewSource("link1", 24*time.Hour, v, log)
	ctx, stop := context.WithCancel(t.Context())
	tokens := s.Watch(ctx)
	if _, err := s.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("before the first poll: %v", err)
	}
	<-tokens
	best := map[keychain.CKN]string{}
	check := func() {
		k, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		defer k.Zero()
		for ckn, cak := range best {
			if found := k.Find(ckn); found == nil || hex.EncodeToString(found.CAK.Bytes()) != cak {
				t.Fatalf("CKN %s is gone or has another CAK\n%s", ckn, j)
			}
		}
		for i := range k.Keys {
			best[k.Keys[i].CKN] = hex.EncodeToString(k.Keys[i].CAK.Bytes())
		}
	}
	until := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(min(d/6, 2*time.Hour)) {
			check()
		}
	}
	const d = 24 * time.Hour
	const part = 30 * time.Minute // in which it is tried again every 5
	for episode := 1; episode <= 2; episode++ {
		until(5 * d)
		end := sc.begin(c)
		s.Poll()
		until(part)
		put(c, fmt.Sprint("new", episode), byte(10*episode), azure.Attributes{})
		s.Poll()
		until(part)
		if got, want := len(best), episode; sc.blind != (got == want) {
			t.Errorf("episode %d: %d keys; blind %v\n%s", episode, got, sc.blind, j)
		}
		if r := s.Report(); sc.kind != "" && (len(r.Faults) == 0 || r.Faults[0].Kind != sc.kind) {
			t.Errorf("episode %d: reported %+v", episode, r.Faults)
		}
		end()
		s.Poll()
		until(5 * d / 2)
		if r := s.Report(); len(best) != 1+episode || len(r.Faults) != 0 || r.Keys != len(best) || time.Since(r.LastSuccess) > 27*time.Hour {
			t.Errorf("episode %d: then %d keys, %+v\n%s", episode, len(best), r, j)
		}
	}
	until(30*d - 2*(5*d+2*part+5*d/2))
	// Each text once when it begins, in each episode, and each fault once when it
	// ends: with the text that it had last, as where a failure is seen first may vary.
	for _, l := range j.told() {
		if begun := j.count(l, "stay in use"); begun > 2 {
			t.Errorf("%s: told %d times\n%s", l, begun, j)
		}
	}
	for _, kind := range Kinds() {
		fault := "fault=" + string(kind) + " "
		if begun, ended := j.count(fault, "stay in use"), j.count(fault, "is over"); begun != ended {
			t.Errorf("%s: told %d times, ended %d times\n%s", kind, begun, ended, j)
		}
	}
	if n := j.count("fault="+string(sc.kind), "stay in use"); (n < 2 || n > 6) != (sc.kind == "") {
		t.Errorf("%d times %s\n%s", n, sc.kind, j)
	}
	if held.MatchString(j.String()) {
		t.Errorf("the log has values:\n%s", j)
	}
	stop()
	for range tokens {
	}
	if _, err := s.Load(); !errors.Is(err, ErrNone) {
		t.Errorf("after the end: %v", err)
	}
	v.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
