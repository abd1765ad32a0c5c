package azure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"go.uber.org/goleak"
)

func TestStatuses(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	c.Put("cak", "x", nil, Attributes{})
	for status, code := range map[int]string{
		401: "Unauthorized", 403: "Forbidden", 404: "SecretNotFound", 409: "Conflict", 429: "Throttled",
		500: "InternalServerError", 503: "Service Unavailable",
	} {
		end := c.Inject(Fault{Op: OpGet, Secret: "CAK", Effect: Status(status, 90*time.Second)})
		_, err := get(t.Context(), s, "cak", "")
		wantError(t, err, status, code)
		if re := (*azcore.ResponseError)(nil); errors.As(err, &re) && re.RawResponse.Header.Get("Retry-After") != "90" {
			t.Errorf("%d: the headers are %v", status, re.RawResponse.Header)
		}
		end()
		if _, err := get(t.Context(), s, "cak", ""); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
	}
	c.Inject(Fault{Op: AnyAuthority, Effect: Status(503, 0)})
	if _, err := get(t.Context(), client(t, c), "cak", ""); err == nil || !strings.Contains(err.Error(), "AADSTS90033") {
		t.Errorf("the authority is unwell: %v", err)
	}
	c.ClearFaults()
	if _, err := get(t.Context(), client(t, c), "cak", ""); err != nil {
		t.Error(err)
	}
	setenv(t, c.Env())
	c.Inject(Fault{Op: OpIdentity, Effect: Status(500, 0)})
	cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options(t, c)})
	if err != nil {
		t.Fatal(err)
	}
	// A resource of its own: the process keeps tokens of the machine.
	_, err = cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://fault.test/.default"}})
	if err == nil || !strings.Contains(err.Error(), "A fault was asked for.") {
		t.Errorf("the managed identity is unwell: %v", err)
	}
}

// Which calls a fault is about: kind, secret, so many after so many.
func TestWhichCalls(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	for _, n := range []string{"cak", "ckn"} {
		c.Put(n, "x", nil, Attributes{})
	}
	if _, err := get(t.Context(), s, "cak", ""); err != nil {
		t.Fatal(err)
	}
	c.ResetCalls()
	c.Inject(Fault{Op: OpGet, Secret: "cak", Skip: 1, Times: 2, Effect: Status(500, 0)})
	var went []bool
	for range 4 {
		_, err := get(t.Context(), s, "cak", "")
		went = append(went, err == nil)
		if _, err := get(t.Context(), s, "ckn", ""); err != nil {
			t.Error(err)
		}
		if _, _, err := versions(t.Context(), s, "cak"); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(went, []bool{true, false, false, true}) {
		t.Errorf("the calls went %v", went)
	}
	calls := c.Calls()
	if len(calls) != 12 || c.Count(OpGet) != 8 || c.Count(AnyVault) != 12 || c.Count(AnyAuthority) != 0 {
		t.Errorf("%d calls, %d gets", len(calls), c.Count(OpGet))
	}
	if got := calls[3]; got.Op != OpGet || got.Secret != "cak" || got.Status != 500 || !slices.Equal(got.Faults, []string{"status 500"}) {
		t.Errorf("the fourth call is %+v", got)
	}
}

// The SDK's own retries wait as long as Retry-After says.
func TestRetryAfter(t *testing.T) {
	c := start(t, Options{})
	c.Put("cak", "x", nil, Attributes{})
	o := options(t, c)
	o.Retry = policy.RetryOptions{MaxRetries: 1, RetryDelay: time.Hour}
	s, err := azsecrets.NewClient(c.URL(), credential(t, c, AppID, AppSecret), &azsecrets.ClientOptions{ClientOptions: o})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(t.Context(), s, "cak", ""); err != nil {
		t.Fatal(err)
	}
	c.ResetCalls()
	c.Inject(Fault{Op: OpGet, Times: 1, Effect: Status(429, time.Second)})
	if _, err := get(t.Context(), s, "cak", ""); err != nil {
		t.Fatal(err)
	}
	calls := c.Calls()
	if len(calls) != 2 || calls[1].Time.Sub(calls[0].Time) < time.Second {
		t.Errorf("the calls are %+v, want the second 1 s after the first", calls)
	}
}

// Whatever the connection does, the client sees an error and then a good answer.
func TestConnectionFaults(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	c.Put("cak", "x", nil, Attributes{})
	for _, e := range []Effect{Reset(), Lose(), Truncate(), Garbage(), Hang(), Delay(time.Hour)} {
		end := c.Inject(Fault{Op: AnyVault, Effect: e})
		waits := e.Name == "hang" || strings.HasPrefix(e.Name, "delay")
		patience := time.Minute
		if waits {
			patience = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := get(ctx, s, "cak", "")
		if err == nil || errors.Is(err, context.DeadlineExceeded) != waits {
			t.Errorf("%s: %v", e.Name, err)
		}
		cancel()
		end()
		if _, err := get(t.Context(), s, "cak", ""); err != nil {
			t.Errorf("after %s: %v", e.Name, err)
		}
	}
}

// A write whose answer is lost was done all the same.
func TestLose(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	set(t, s, "cak", "one")
	c.Inject(Fault{Op: OpSet, Times: 1, Effect: Lose()})
	value := "two"
	if _, err := s.SetSecret(t.Context(), "cak", azsecrets.SetSecretParameters{Value: &value}, nil); err == nil {
		t.Error("the answer was not lost")
	}
	if got, _ := c.Secret("cak"); len(got.Versions) != 2 {
		t.Errorf("there are %d versions", len(got.Versions))
	}
	c.Inject(Fault{Op: OpSet, Times: 1, Effect: Reset()})
	if _, err := s.SetSecret(t.Context(), "cak", azsecrets.SetSecretParameters{Value: &value}, nil); err == nil {
		t.Error("the call was not reset")
	}
	if got, _ := c.Secret("cak"); len(got.Versions) != 2 {
		t.Errorf("there are %d versions: a call that is reset does nothing", len(got.Versions))
	}
}

func TestLies(t *testing.T) {
	c := start(t, Options{PageSize: 2})
	s := client(t, c)
	a := c.Put("cak", "one", map[string]string{"pair": "p", "keep": "k"}, Attributes{})
	b := c.Put("cak", "two", nil, Attributes{})
	c.Put("ckn", "name", nil, Attributes{})
	ctx := t.Context()

	end := c.Inject(Fault{Op: OpGet, Secret: "cak", Effect: OtherValue("lie")})
	if got, err := get(ctx, s, "cak", a); got != "lie" {
		t.Errorf("other value: %q, %v", got, err)
	}
	end()
	end = c.Inject(Fault{Op: OpGet, Effect: WrongID(b)})
	if r, err := s.GetSecret(ctx, "cak", a, nil); err != nil || r.ID.Version() != b || *r.Value != "one" {
		t.Errorf("wrong id: %+v, %v", r.Secret, err)
	}
	end()
	end = c.Inject(Fault{Op: OpGet, Effect: Swap("cak", "ckn")})
	for name, want := range map[string]string{"cak": "name", "ckn": "two"} {
		if got, err := get(ctx, s, name, ""); got != want {
			t.Errorf("swap: %s is %q, %v, want %q", name, got, err, want)
		}
	}
	end()
	end = c.Inject(Fault{Op: OpVersions, Effect: Omit(a)})
	if got, _, err := versions(ctx, s, "cak"); !slices.Equal(got, []string{b}) {
		t.Errorf("omit: %q, %v", got, err)
	}
	c.Inject(Fault{Op: OpVersions, Effect: Omit()})
	if got, _, err := versions(ctx, s, "cak"); len(got) != 0 {
		t.Errorf("omit all: %q, %v", got, err)
	}
	end()
	c.ClearFaults()
	c.Inject(Fault{Op: AnyVault, Effect: Retag(map[string]string{"pair": "q", "keep": ""})})
	r, err := s.GetSecret(ctx, "cak", a, nil)
	if err != nil || len(r.Tags) != 1 || *r.Tags["pair"] != "q" {
		t.Errorf("retag: %v, %v", r.Tags, err)
	}
	page, err := s.NewListSecretPropertiesVersionsPager("cak", nil).NextPage(ctx)
	if err != nil || len(page.Value) != 2 || *page.Value[0].Tags["pair"] != "q" || *page.Value[1].Tags["pair"] != "q" {
		t.Errorf("retag a list: %v, %v", page.Value, err)
	}
	c.ClearFaults()
	if got, _ := c.Secret("cak"); got.Versions[0].Tags["pair"] != "p" || got.Versions[0].Value != "one" {
		t.Errorf("a lie changed the vault: %+v", got)
	}
	c.Inject(Fault{Op: OpVersions, Effect: Endless()})
	p := s.NewListSecretPropertiesVersionsPager("cak", nil)
	for range 20 {
		if page, err := p.NextPage(ctx); err != nil || !p.More() || len(page.Value) != 2 {
			t.Fatalf("endless: it ended, %v", err)
		}
	}
}

func TestHuge(t *testing.T) {
	c := start(t, Options{})
	c.Put("cak", "x", nil, Attributes{})
	const size = 1 << 20
	c.Inject(Fault{Op: OpGet, Effect: Huge(size)})
	status, body := raw(t, c, http.MethodGet, "/secrets/cak?api-version=7.6", AppID)
	if status != 200 || len(body) < size || len(body) > size+1024 {
		t.Errorf("%d with %d octets", status, len(body))
	}
	if got, err := get(t.Context(), client(t, c), "cak", ""); err != nil || got != "x" {
		t.Errorf("a client without limits gets %q, %v", got, err)
	}
}

func TestRefuse(t *testing.T) {
	c := start(t, Options{})
	s := client(t, c)
	set(t, s, "cak", "x")
	for range 3 {
		if err := c.Refuse(true); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), s, "cak", ""); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("in an outage: %v", err)
		}
		if err := c.Refuse(false); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), s, "cak", ""); err != nil {
			t.Errorf("after an outage: %v", err)
		}
	}
	if err := c.Refuse(true); err != nil {
		t.Fatal(err)
	}
}

func TestSilence(t *testing.T) {
	c := start(t, Options{})
	s, fresh := client(t, c), client(t, c)
	set(t, s, "cak", "x")
	c.Silence(true)
	calls := c.Count(AnyOp)
	for what, s := range map[string]*azsecrets.Client{"an open connection": s, "a new one": fresh} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := get(ctx, s, "cak", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
		cancel()
	}
	if n := c.Count(AnyOp); n != calls {
		t.Errorf("%d calls were heard", n-calls)
	}
	c.Silence(false)
	for _, s := range []*azsecrets.Client{s, fresh} {
		if _, err := get(t.Context(), s, "cak", ""); err != nil {
			t.Error(err)
		}
	}
	c.Silence(true)
}

// Close ends calls that hang, and leaves nothing behind.
func TestCloseEndsAll(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	c.Inject(Fault{Effect: Effect{"hang", func(x *exchange, next func() *reply) *reply {
		close(begun)
		return Hang().do(x, next)
	}}})
	h := c.HTTPClient()
	defer h.CloseIdleConnections()
	failed := make(chan error, 1)
	go func() {
		r, err := h.Get(c.AddressURL() + "/secrets")
		if err == nil {
			_, err = io.ReadAll(r.Body)
			err = errors.Join(err, r.Body.Close())
		}
		failed <- err
	}()
	select {
	case <-begun:
	case err := <-failed:
		t.Fatalf("the call did not come: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("a call that hung was answered")
	}
	if err := c.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}
