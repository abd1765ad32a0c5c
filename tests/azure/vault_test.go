package azure

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"
)

func TestSetGet(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	v1 := set(t, s, "cak", "one")
	v2 := set(t, s, "CAK", "two")
	if v1 == v2 || !validVersion.MatchString(v1) || !validVersion.MatchString(v2) {
		t.Errorf("the versions are %q and %q", v1, v2)
	}
	for version, want := range map[string]string{v1: "one", v2: "two", "": "two"} {
		got, err := get(t.Context(), s, "cak", version)
		if err != nil || got != want {
			t.Errorf("version %q is %q, %v, want %q", version, got, err, want)
		}
	}
	_, err := get(t.Context(), s, "cak", strings.Repeat("0", 32))
	wantError(t, err, 404, "SecretNotFound")
	_, err = get(t.Context(), s, "no-such", "")
	wantError(t, err, 404, "SecretNotFound")
	_, err = get(t.Context(), s, "cak", "latest")
	wantError(t, err, 400, "BadParameter")
}

func TestAttributes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := start(t, Options{Now: func() time.Time { return now }})
	s := client(t, c)
	from, until := now.Add(time.Hour), now.Add(2*time.Hour)
	r, err := s.SetSecret(t.Context(), "cak", azsecrets.SetSecretParameters{
		Value: to.Ptr("00ff"), ContentType: to.Ptr("text/plain"),
		Tags:             map[string]*string{"linkseal-pair": to.Ptr("p1"), "Case": to.Ptr("")},
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(true), NotBefore: &from, Expires: &until},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(t.Context(), s, "cak", ""); err != nil || got != "00ff" {
		t.Errorf("before its nbf it is %q, %v: the window is not the vault's to enforce", got, err)
	}
	now = now.Add(time.Minute)
	u, err := s.UpdateSecretProperties(t.Context(), "cak", r.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
		Tags:             map[string]*string{"linkseal-pair": to.Ptr("p2")},
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &azsecrets.SecretAttributes{
		Enabled: to.Ptr(false), NotBefore: to.Ptr(from), Expires: to.Ptr(until),
		Created: to.Ptr(now.Add(-time.Minute)), Updated: to.Ptr(now),
		RecoveryLevel: to.Ptr("Recoverable+Purgeable"), RecoverableDays: to.Ptr[int32](90),
	}
	if diff := cmp.Diff(want, u.Attributes); diff != "" {
		t.Errorf("attributes after an update (-want +got):\n%s", diff)
	}
	if u.Value != nil || *u.ContentType != "text/plain" || len(u.Tags) != 1 || *u.Tags["linkseal-pair"] != "p2" {
		t.Errorf("after the update it is %+v", u.Secret)
	}
	page, err := s.NewListSecretPropertiesVersionsPager("cak", nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 {
		t.Fatalf("%d versions, %v", len(page.Value), err)
	}
	if diff := cmp.Diff(want, page.Value[0].Attributes); diff != "" {
		t.Errorf("attributes in the list (-want +got):\n%s", diff)
	}
	_, err = get(t.Context(), s, "cak", "")
	wantError(t, err, 403, "Forbidden")
	if err == nil || !strings.Contains(err.Error(), "SecretDisabled") {
		t.Errorf("a disabled version's error is %v", err)
	}
	if v, ok := c.Secret("cak"); !ok || v.Versions[0].Value != "00ff" || !v.Versions[0].Disabled {
		t.Errorf("the vault has %+v", v)
	}
}

// The latest version is the one made last: that it is disabled does not bring
// back the one before.
func TestLatestDisabled(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	old := c.Put("cak", "old", nil, Attributes{})
	c.Put("cak", "new", nil, Attributes{})
	if !c.Disable("cak", "") {
		t.Fatal("there is no latest version")
	}
	_, err := get(t.Context(), s, "cak", "")
	wantError(t, err, 403, "Forbidden")
	if got, err := get(t.Context(), s, "cak", old); err != nil || got != "old" {
		t.Errorf("the version before is %q, %v", got, err)
	}
}

func TestLimits(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	tags := func(n, size int) map[string]*string {
		m := map[string]*string{}
		for i := range n {
			m[fmt.Sprintf("%02d", i)] = to.Ptr(strings.Repeat("x", size))
		}
		return m
	}
	for _, k := range []struct {
		what, name string
		p          azsecrets.SetSecretParameters
		status     int
	}{
		{"the longest value", "cak", azsecrets.SetSecretParameters{Value: to.Ptr(strings.Repeat("x", 25*1024))}, 0},
		{"a value too long", "cak", azsecrets.SetSecretParameters{Value: to.Ptr(strings.Repeat("x", 25*1024+1))}, 400},
		{"a body too long", "cak", azsecrets.SetSecretParameters{Value: to.Ptr(strings.Repeat("x", maxBody))}, 413},
		{"no value", "cak", azsecrets.SetSecretParameters{}, 400},
		{"15 tags", "cak", azsecrets.SetSecretParameters{Value: to.Ptr("x"), Tags: tags(15, 256)}, 0},
		{"16 tags", "cak", azsecrets.SetSecretParameters{Value: to.Ptr("x"), Tags: tags(16, 1)}, 400},
		{"a long tag", "cak", azsecrets.SetSecretParameters{Value: to.Ptr("x"), Tags: tags(1, 257)}, 400},
		{"a long type", "cak", azsecrets.SetSecretParameters{Value: to.Ptr("x"), ContentType: to.Ptr(strings.Repeat("x", 256))}, 400},
		{"the longest name", strings.Repeat("n", 127), azsecrets.SetSecretParameters{Value: to.Ptr("x")}, 0},
		{"a name too long", strings.Repeat("n", 128), azsecrets.SetSecretParameters{Value: to.Ptr("x")}, 400},
		{"a name of other letters", "c_k", azsecrets.SetSecretParameters{Value: to.Ptr("x")}, 400},
	} {
		_, err := s.SetSecret(t.Context(), k.name, k.p, nil)
		if k.status == 0 && err != nil {
			t.Errorf("%s: %v", k.what, err)
		}
		if k.status != 0 {
			t.Run(k.what, func(t *testing.T) { wantError(t, err, k.status, "BadParameter") })
		}
	}
}

func TestPaging(t *testing.T) {
	c := start(t, Options{PageSize: 3})
	s := client(t, c)
	var want []string
	for i := range 10 {
		want = append(want, c.Put("cak", fmt.Sprint(i), nil, Attributes{}))
		c.Put(fmt.Sprintf("other-%d", i), "x", nil, Attributes{})
	}
	slices.Sort(want)
	got, pages, err := versions(t.Context(), s, "cak")
	if err != nil || pages != 4 || !slices.Equal(got, want) {
		t.Errorf("%d pages, %v, of %q, want 4 of %q", pages, err, got, want)
	}
	if got, _, err := versions(t.Context(), s, "no-such"); err != nil || len(got) != 0 {
		t.Errorf("the versions of no secret: %q, %v", got, err)
	}
	names := map[string]bool{}
	for p := s.NewListSecretPropertiesPager(nil); p.More(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Value) > 3 {
			t.Errorf("a page of %d", len(page.Value))
		}
		for _, v := range page.Value {
			if names[v.ID.Name()] || v.ID.Version() != "" {
				t.Errorf("%q again, or with a version", *v.ID)
			}
			names[v.ID.Name()] = true
		}
	}
	if len(names) != 11 || !names["cak"] {
		t.Errorf("the names are %q", slices.Sorted(maps.Keys(names)))
	}
}

// A version that goes between two pages makes none of the others be missed.
func TestPagingWhileChanging(t *testing.T) {
	c := start(t, Options{PageSize: 1})
	s := client(t, c)
	for _, n := range []string{"a", "b", "c"} {
		c.Put(n, "x", nil, Attributes{})
	}
	p := s.NewListSecretPropertiesPager(nil)
	var names []string
	for p.More() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Value {
			names = append(names, v.ID.Name())
		}
		c.Delete("a")
	}
	if !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("the names are %q", names)
	}
}

func TestMaxResults(t *testing.T) {
	c := start(t, Options{PageSize: 3})
	for i := range 3 {
		c.Put("cak", fmt.Sprint(i), nil, Attributes{})
	}
	for query, want := range map[string]int{
		"api-version=7.4&maxresults=2": 200, "api-version=7.4&maxresults=26": 400, "api-version=7.4&maxresults=x": 400,
		"maxresults=2": 400, "api-version=7.4&$skiptoken=%00": 400,
	} {
		if status, body := raw(t, c, http.MethodGet, "/secrets/cak/versions?"+query, AppID); status != want {
			t.Errorf("%s: %d %s, want %d", query, status, body, want)
		} else if want == 200 && strings.Count(body, `"id"`) != 2 {
			t.Errorf("%s: %s", query, body)
		}
	}
}
