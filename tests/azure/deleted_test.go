package azure

import (
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func TestSoftDelete(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := start(t, Options{Now: func() time.Time { return now }})
	s := client(t, c)
	ctx := t.Context()
	v := set(t, s, "cak", "one")
	d, err := s.DeleteSecret(ctx, "cak", nil)
	if err != nil || !d.DeletedDate.Equal(now) || !d.ScheduledPurgeDate.Equal(now.Add(90*24*time.Hour)) {
		t.Fatalf("deleted: %+v, %v", d, err)
	}
	_, err = get(ctx, s, "cak", v)
	wantError(t, err, 404, "SecretNotFound")
	if ids, _, err := versions(ctx, s, "cak"); err != nil || len(ids) != 0 {
		t.Errorf("versions of a deleted secret: %q, %v", ids, err)
	}
	_, err = s.SetSecret(ctx, "Cak", azsecrets.SetSecretParameters{Value: to.Ptr("two")}, nil)
	wantError(t, err, 409, "Conflict")
	if err == nil || !strings.Contains(err.Error(), "ObjectIsDeletedButRecoverable") {
		t.Errorf("the conflict is %v", err)
	}
	_, err = s.DeleteSecret(ctx, "cak", nil)
	wantError(t, err, 404, "SecretNotFound")
	if g, err := s.GetDeletedSecret(ctx, "cak", nil); err != nil || g.Value != nil || g.ID.Version() != v {
		t.Errorf("the deleted secret is %+v, %v", g.DeletedSecret, err)
	}
	page, err := s.NewListDeletedSecretPropertiesPager(nil).NextPage(ctx)
	if err != nil || len(page.Value) != 1 || page.Value[0].ID.Name() != "cak" {
		t.Errorf("deleted secrets: %+v, %v", page.Value, err)
	}
	if _, err := s.RecoverDeletedSecret(ctx, "cak", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := get(ctx, s, "cak", v); err != nil || got != "one" {
		t.Errorf("after recovery it is %q, %v", got, err)
	}
	_, err = s.PurgeDeletedSecret(ctx, "cak", nil)
	wantError(t, err, 404, "SecretNotFound")
	if !c.Delete("cak") {
		t.Fatal("it was not there to delete")
	}
	if _, err := s.PurgeDeletedSecret(ctx, "cak", nil); err != nil {
		t.Fatal(err)
	}
	_, err = s.RecoverDeletedSecret(ctx, "cak", nil)
	wantError(t, err, 404, "SecretNotFound")
	if got := set(t, s, "cak", "three"); got == v {
		t.Errorf("the version %s is back", got)
	}
}

func TestRetention(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := start(t, Options{Now: func() time.Time { return now }, Retention: 7 * 24 * time.Hour, TokenLife: 30 * 24 * time.Hour})
	s := client(t, c)
	c.Put("cak", "one", nil, Attributes{})
	c.Delete("cak")
	now = now.Add(7*24*time.Hour - time.Second)
	if _, err := s.GetDeletedSecret(t.Context(), "cak", nil); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Second)
	_, err := s.GetDeletedSecret(t.Context(), "cak", nil)
	wantError(t, err, 404, "SecretNotFound")
	set(t, s, "cak", "two")
}
