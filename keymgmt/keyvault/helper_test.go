package keyvault

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/tests/azure"
)

// The test binary is the helper, as linkseal is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == HelperVerb {
		switch kind := os.Getenv("AZURE_TEST_HELPER"); kind {
		case "":
			os.Exit(ServeHelper(os.Stdin, os.Stdout))
		default:
			os.Exit(badHelper(kind))
		}
	}
	os.Exit(m.Run())
}

// badHelper is a helper that something happens to.
func badHelper(kind string) int {
	switch kind {
	case "hangs":
		for {
			time.Sleep(time.Hour)
		}
	case "says":
		os.Stderr.WriteString("something\x1b[31m is wrong\nand more\n")
		return 1
	case "floods":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<16)); err != nil {
				return 1
			}
		}
	case "killed":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	case "state":
		// What the kernel says of a helper that is at work.
		harden()
		var core unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_CORE, &core)
		dump, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var sig int
		unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0)
		if core.Cur == 0 && core.Max == 0 && dump == 0 && sig == int(unix.SIGKILL) {
			writeAnswer(os.Stdout, meta{Pairs: []Listed{{ID: strings.Join(os.Args[1:], " "), Owner: strings.Join(names(os.Environ()), " ")}}}, nil)
			return 0
		}
	}
	return 1
}

func names(env []string) []string {
	var out []string
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func TestHelper(t *testing.T) {
	c, cfg := azureCloud(t, azure.Options{})
	cak, _ := put(c, "a", 1, azure.Attributes{})
	h := NewHelper(cfg)
	a, err := h.Fetch(t.Context(), Request{Now: time.Now()})
	if err != nil || len(a.Values) != 2 || len(a.Versions) != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	for _, v := range a.Values {
		if v.Ref == (Ref{CAK, cak}) && hex.EncodeToString(v.Octets.Bytes()) != cakOf(1) {
			t.Error("another value")
		}
	}
	p := wantPair("p1")
	w, err := h.Write(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, c, p, w)
	if err := h.Disable(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	list, err := h.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	for _, l := range list {
		if l.ID == "p1" && (l.State != Complete || *l.Pinned != w.Pinned) || l.ID == "a" && l.State != Disabled {
			t.Errorf("%+v", l)
		}
	}
	defer c.Inject(azure.Fault{Op: azure.AnyVault, Effect: azure.Status(429, 9*time.Second)})()
	if _, err := h.Fetch(t.Context(), Request{Now: time.Now()}); asFault(err).Kind != Throttled || asFault(err).RetryAfter != 9*time.Second {
		t.Errorf("%+v", err)
	}
	cfg.CA = "/nowhere"
	if _, err := NewHelper(cfg).List(t.Context()); asFault(err).Kind != Local || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("%+v", err)
	}
}

func TestHelperFails(t *testing.T) {
	for kind, want := range map[string]string{"hangs": "did not answer in time", "says": "failed: something [31m is wrong", "floods": "answer", "killed": "signal: killed"} {
		t.Run(kind, func(t *testing.T) {
			t.Setenv("AZURE_TEST_HELPER", kind)
			timeout := 20 * time.Second
			if kind == "hangs" {
				timeout = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := NewHelper(Config{}).List(ctx)
			if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewHelper(Config{}).List(ctx); asFault(err).Kind != Local {
		t.Errorf("given up: %v", err)
	}
	// No child is left, not even as a zombie.
	var st unix.WaitStatus
	if pid, err := unix.Wait4(-1, &st, unix.WNOHANG, nil); err != unix.ECHILD {
		t.Errorf("child %d, %v", pid, err)
	}
}

// A helper leaves no core, ends with its parent, and sees of the environment
// what it needs.
func TestHelperIsHardened(t *testing.T) {
	t.Setenv("AZURE_TEST_HELPER", "state")
	t.Setenv("AZURE_CLIENT_SECRET", "x")
	t.Setenv("LINKSEAL_TEST_OTHER", "x")
	t.Setenv("https_proxy", "http://192.0.2.1:3128")
	list, err := NewHelper(Config{}).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := " " + list[0].Owner + " "
	if list[0].ID != HelperVerb || strings.Contains(env, " AZURE_CLIENT_SECRET ") || strings.Contains(env, "LINKSEAL") || !strings.Contains(env, " https_proxy ") || !strings.Contains(env, " GOTRACEBACK ") {
		t.Errorf("arguments %q, environment%s", list[0].ID, env)
	}
}

// What is no order is no order.
func TestServeRefuses(t *testing.T) {
	for _, in := range []string{"", "{}", "x", strings.Repeat(" ", maxOrder+1)} {
		c := exec.Command("/proc/self/exe", HelperVerb)
		c.Stdin = strings.NewReader(in)
		var out, err bytes.Buffer
		c.Stdout, c.Stderr = &out, &err
		if c.Run() == nil || out.Len() != 0 || !strings.Contains(err.String(), "no order on standard input") {
			t.Errorf("%.20q: %q, %q", in, out.String(), err.String())
		}
	}
	m, values := serve(t.Context(), order{Op: "dance", Config: Config{URL: "https://x.vault.azure.net", CAK: "a", CKN: "b", Credential: Credential{Type: ManagedIdentity}}})
	if m.Failed == nil || values != nil || !strings.Contains(m.Failed.Text, `order "dance"`) {
		t.Errorf("%+v", m)
	}
}
