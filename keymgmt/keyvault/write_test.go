package keyvault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/tests/azure"
)

func wantPair(id string) Pair {
	now := time.Now().UTC().Truncate(time.Second)
	return Pair{ID: id, Owner: "ce-ams-1 4711", Octets: 32, NotBefore: now, Expires: now.Add(time.Hour), Fallback: true, ExpiresHard: true}
}

// sound checks that the vault has the pair once and whole, as it was asked for.
func sound(t *testing.T, c *azure.Cloud, p Pair, w *Written) {
	t.Helper()
	for name, id := range map[string]string{"link1-cak": w.Pinned.CAK, "link1-ckn": w.Pinned.CKN} {
		s, _ := c.Secret(name)
		n := 0
		for _, v := range s.Versions {
			if v.Tags[tagPair] != p.ID {
				continue
			}
			n++
			octets, err := hex.DecodeString(v.Value)
			if v.ID != id || v.Disabled || err != nil || len(octets) != p.Octets || !v.NotBefore.Equal(p.NotBefore) || !v.Expires.Equal(p.Expires) ||
				v.Tags[tagOwner] != p.Owner || (v.Tags[tagFallback] == "true") != p.Fallback || (v.Tags[tagHard] == "true") != p.ExpiresHard {
				t.Errorf("%s: %s, %v", name, v.ID, v.Tags)
			}
			if name == "link1-ckn" && w.CKN != "" && w.CKN.String() != v.Value {
				t.Errorf("CKN %s, in the vault %s", w.CKN, v.Value)
			}
		}
		if n != 1 {
			t.Errorf("%s has %d versions of pair %s", name, n, p.ID)
		}
	}
}

func TestWrite(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	v := client(t, cfg)
	p := wantPair("p1")
	w, err := v.Write(t.Context(), p)
	if err != nil || w.Found != 0 || len(w.CKN) != 32 {
		t.Fatalf("%+v, %v", w, err)
	}
	sound(t, c, p, w)
	again, err := v.Write(t.Context(), p)
	if err != nil || again.Found != 2 || again.Pinned != w.Pinned || again.CKN != w.CKN {
		t.Errorf("again: %+v, %v", again, err)
	}
	// What is written is what is read.
	a, err := v.Fetch(t.Context(), Request{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	s := newState("keychain link1")
	if _, refused, f := s.take(a, time.Now()); f != nil || len(refused) != 0 || s.chain.Find(w.CKN) == nil || s.chain.Keys[0].Pinned != w.Pinned || !s.chain.Keys[0].ExpiresHard || !s.chain.Keys[0].Fallback {
		t.Errorf("%v, %v", f, refused)
	}
	w2, err := v.Write(t.Context(), Pair{ID: "p2", Octets: 16})
	if err != nil || w2.CKN == w.CKN {
		t.Fatalf("%+v, %v", w2, err)
	}
	sound(t, c, Pair{ID: "p2", Octets: 16}, w2)
	if err := v.Disable(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	list, err := v.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].Created.IsZero() {
			t.Error("no time of creation")
		}
		list[i].Created = time.Time{}
	}
	want := []Listed{
		{ID: "p1", Owner: p.Owner, NotBefore: p.NotBefore, Expires: p.Expires, Fallback: true, ExpiresHard: true, State: Disabled},
		{ID: "p2", State: Complete, Pinned: &w2.Pinned},
	}
	if list[0].ID == "p2" {
		list[0], list[1] = list[1], list[0]
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Error(d)
	}
	for _, id := range []string{"p1", "absent"} {
		if err := v.Disable(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	v := client(t, cfg)
	tags := func(id, owner string) map[string]string { return map[string]string{tagPair: id, tagOwner: owner} }
	c.Put("link1-ckn", cakOf(1), tags("taken", "somebody"), azure.Attributes{})
	for range 2 {
		c.Put("link1-ckn", cakOf(2), tags("twice", ""), azure.Attributes{})
	}
	c.Put("link1-ckn", cakOf(3), tags("off", ""), azure.Attributes{Disabled: true})
	c.Put("link1-ckn", cakOf(4)[:32], tags("short", ""), azure.Attributes{})
	c.Put("link1-ckn", "not hex", tags("text", ""), azure.Attributes{})
	for _, tc := range []struct {
		p    Pair
		want string
		kind FaultKind
	}{
		{Pair{ID: "a b", Octets: 16}, `pair id "a b"; accepted`, Local},
		{Pair{ID: "a", Octets: 24}, "a CAK of 24 octets; accepted: 16, 32", Local},
		{Pair{ID: "a", Octets: 16, Owner: "a\nb"}, "owner", Local},
		{Pair{ID: "a", Octets: 16, NotBefore: t0, Expires: t0}, "it expires before it begins", Local},
		{Pair{ID: "a", Octets: 16, ExpiresHard: true}, "expires hard", Local},
		{Pair{ID: "taken", Octets: 32, Owner: "me"}, `belongs to "somebody", not to "me"`, RefusedPair},
		{Pair{ID: "twice", Octets: 32}, "2 enabled versions of the CKN", RefusedPair},
		{Pair{ID: "off", Octets: 32}, "is disabled; write another pair", RefusedPair},
		{Pair{ID: "short", Octets: 32}, "is 16 octets, not 32", RefusedPair},
		{Pair{ID: "text", Octets: 32}, "is not hex", RefusedPair},
	} {
		_, err := v.Write(t.Context(), tc.p)
		if f := asFault(err); f == nil || f.Kind != tc.kind || !strings.Contains(f.Text, tc.want) || held.MatchString(f.Text) {
			t.Errorf("%+v: %v, want %q", tc.p, err, tc.want)
		}
	}
	c.Delete("link1-ckn")
	if _, err := v.Write(t.Context(), Pair{ID: "z", Octets: 16}); asFault(err).Kind != Conflict || !strings.Contains(err.Error(), "recover it or purge it") {
		t.Errorf("a deleted secret: %v", err)
	}
	defer c.Inject(azure.Fault{Op: azure.OpGet, Secret: "other-cak", Effect: azure.OtherValue(cakOf(9))})()
	cfg.CAK, cfg.CKN = "other-cak", "other-ckn"
	_, err := client(t, cfg).Write(t.Context(), Pair{ID: "lied", Octets: 32})
	if err == nil || !strings.Contains(err.Error(), "has another value than was written") || held.MatchString(err.Error()) {
		t.Errorf("a lying vault: %v", err)
	}
}

// crash ends the life of a client before or after one call of the vault: from
// then on nothing leaves it.
type crash struct {
	next  policy.Transporter
	calls int
	at    int
	after bool
	dead  context.CancelFunc
}

var errDead = errors.New("dead")

func (c *crash) Do(r *http.Request) (*http.Response, error) {
	if r.Context().Err() != nil {
		return nil, errDead
	}
	c.calls++
	if c.calls != c.at {
		return c.next.Do(r)
	}
	defer c.dead()
	if c.after {
		if resp, err := c.next.Do(r); err == nil {
			resp.Body.Close()
		}
	}
	return nil, errDead
}

// dies does do with a client that dies at its call number at, before the vault
// has it or after; true if it had not so many.
func dies(t *testing.T, c *azure.Cloud, cfg Config, at int, after bool, do func(context.Context, *Client) error) (ended bool) {
	t.Helper()
	ctx, dead := context.WithCancel(t.Context())
	defer dead()
	x := &crash{at: at, after: after, dead: dead}
	v, err := open(cfg, c.Dial, func(next policy.Transporter) policy.Transporter { x.next = next; return x })
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	err = do(ctx, v)
	if (err == nil) != (x.calls < at) {
		t.Errorf("call %d of %d: %v", at, x.calls, err)
	}
	return err == nil
}

// TestWriteCrash dies before and after each call of Write and of Disable, and
// does it again: there is never a mixed pair, nor a second one.
func TestWriteCrash(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	kept := wantPair("kept")
	sure := client(t, cfg)
	keptAt, err := sure.Write(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	run := func(at int, after bool, do func(context.Context, *Client) error) (ended bool) {
		return dies(t, c, cfg, at, after, do)
	}
	points := 0
	for n, ended := 1, false; !ended; n++ {
		ended = true
		for _, after := range []bool{false, true} {
			points++
			p := wantPair(fmt.Sprintf("p%d-%v", n, after))
			ended = run(n, after, func(ctx context.Context, v *Client) error { _, err := v.Write(ctx, p); return err }) && ended
			if got := counted(t, c, p.ID); got > 2 {
				t.Errorf("after call %d: %d versions", n, got)
			}
			w, err := sure.Write(t.Context(), p)
			if err != nil {
				t.Fatalf("again after call %d (done %v): %v", n, after, err)
			}
			sound(t, c, p, w)
			run(n, after, func(ctx context.Context, v *Client) error { return v.Disable(ctx, p.ID) })
			if err := sure.Disable(t.Context(), p.ID); err != nil {
				t.Fatal(err)
			}
			list, err := sure.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range list {
				if l.ID == p.ID && l.State != Disabled || l.ID == "kept" && l.State != Complete {
					t.Errorf("after a crash in Disable, again: %+v", l)
				}
			}
		}
	}
	if points < 16 {
		t.Errorf("%d points: there are not so few calls", points)
	}
	sound(t, c, kept, keptAt)
}

// counted is how many versions the vault has of a pair.
func counted(t *testing.T, c *azure.Cloud, id string) (n int) {
	t.Helper()
	for _, name := range []string{"link1-cak", "link1-ckn"} {
		s, _ := c.Secret(name)
		for _, v := range s.Versions {
			if v.Tags[tagPair] == id {
				n++
			}
		}
	}
	return n
}
