package azure

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/sys/unix"
)

// arcKeys is the one folder that the client takes Azure Arc's keys from.
const arcKeys = "/var/opt/azcmagent/tokens"

// It runs again in a mount namespace of its own, where the folder can be made.
func TestArc(t *testing.T) {
	if os.Getenv("LINKSEAL_TEST_ARC") != "" {
		arc(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("it mounts a folder of its own over /var/opt: run it as root")
	}
	again := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestArc$", "-test.v")
	again.Env = append(os.Environ(), "LINKSEAL_TEST_ARC=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	out, err := again.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestArc") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func arc(t *testing.T) {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", "/var/opt", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(arcKeys, 0o755); err != nil {
		t.Fatal(err)
	}
	user := Identity{
		ClientID: "3c4d5e6f-0000-4000-8000-000000000001", ObjectID: "3c4d5e6f-0000-4000-8000-000000000002",
		ResourceID: "/subscriptions/1/edge", Role: SecretsUser,
	}
	c := start(t, Options{ArcKeys: arcKeys, Identities: []Identity{System(), user}})
	setenv(t, c.ArcEnv())
	c.Put("cak", "x", nil, Attributes{})
	for _, k := range []struct {
		id   azidentity.ManagedIDKind
		want string
	}{
		{nil, SystemID}, {azidentity.ClientID(user.ClientID), user.ClientID},
		{azidentity.ResourceID(user.ResourceID), user.ClientID},
	} {
		cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: options(t, c), ID: k.id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), clientAs(t, c, cred), "cak", ""); err != nil {
			t.Fatal(err)
		}
		calls := c.Calls()
		if got := calls[len(calls)-1].Client; got != k.want {
			t.Errorf("the vault saw %q, want %q", got, k.want)
		}
	}
	if left, err := os.ReadDir(arcKeys); err != nil || len(left) != 0 {
		t.Errorf("keys are left: %v, %v", left, err)
	}
}
