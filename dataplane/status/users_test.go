package status

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/linkseal/linkseal/linux/peercred"
)

const asEnv = "STATUS_TEST_AS"

// TestMain is also the other user's process of the tests: it does what the
// environment says, VERB PATH, and prints what became of it.
func TestMain(m *testing.M) {
	verb, path, ok := strings.Cut(os.Getenv(asEnv), " ")
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, c := context.Background(), NewClient(path)
	var err error
	switch verb {
	case "status":
		_, err = c.Status(ctx)
	case "reload":
		err = c.Reload(ctx)
	case "rotate":
		err = c.Rotate(ctx, "link1", func(event json.RawMessage) error {
			_, err := fmt.Printf("%s ", event)
			return err
		})
	case "listen": // in a group that is not its own
		_, err = Listen(path, 54990)
	default:
		err = fmt.Errorf("no such verb")
	}
	if err != nil {
		fmt.Print(err)
		os.Exit(1)
	}
	fmt.Print("done")
	os.Exit(0)
}

// as runs verb on the socket at path as another user, and returns what became
// of it and the pid.
func as(t *testing.T, who *syscall.Credential, verb, path string) (string, int) {
	t.Helper()
	// Other users do not reach the binary by its path.
	c := exec.CommandContext(t.Context(), "/proc/self/exe")
	c.Dir = "/"
	c.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", asEnv+"="+verb+" "+path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := c.Output()
	if exit := c.ProcessState; exit == nil || exit.ExitCode() > 1 || exit.ExitCode() < 0 {
		t.Fatalf("%s: %v", verb, err)
	}
	return string(out), c.Process.Pid
}

// open is a directory of that mode, which every user may pass.
func open(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: acts as other users")
	}
}

// Users are let in by their groups, whatever the file's mode says, and what
// they ask for is logged with who they are.
func TestUsers(t *testing.T) {
	needRoot(t)
	path := filepath.Join(open(t, 0o755), "s")
	l, err := Listen(path, 54990)
	if err != nil {
		t.Fatal(err)
	}
	var b log
	var by []peercred.Cred
	serveOn(t, l, Daemon{Snapshot: example, Log: b.logger(),
		Reload: func(context.Context) ([]string, error) { return nil, nil },
		Rotate: func(_ context.Context, _ string, who peercred.Cred, emit func(any) error) error {
			by = append(by, who)
			return emit(step{"done"})
		}})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o660 || s.Gid != 54990 || s.Uid != 0 {
		t.Errorf("mode %o, uid %d, gid %d", info.Mode().Perm(), s.Uid, s.Gid)
	}
	strange := &syscall.Credential{Uid: 1001, Gid: 1001, Groups: []uint32{0, 991}}
	for name, c := range map[string]struct {
		who  *syscall.Credential
		verb string
		want string
	}{
		"root":          {&syscall.Credential{Uid: 0, Gid: 5}, "status", "done"},
		"primary":       {&syscall.Credential{Uid: 1001, Gid: 54990}, "status", "done"},
		"supplementary": {&syscall.Credential{Uid: 1001, Gid: 1002, Groups: []uint32{4, 54990}}, "reload", "done"},
		"rotates":       {&syscall.Credential{Uid: 1003, Gid: 1002, Groups: []uint32{54990}}, "rotate", `{"phase":"done"} done`},
		"stranger":      {strange, "status", "control socket " + path + ": permission denied; be root, or a member of its group"},
	} {
		t.Run(name, func(t *testing.T) {
			got, pid := as(t, c.who, c.verb, path)
			if got != c.want {
				t.Errorf("%s", got)
			}
			if who := fmt.Sprintf("uid=%d gid=%d pid=%d", c.who.Uid, c.who.Gid, pid); c.verb != "status" && !strings.Contains(b.String(), who) {
				t.Errorf("%s is not in the log:\n%s", who, &b)
			}
		})
	}
	if len(by) != 1 || by[0].UID != 1003 || !by[0].InGroup(54990) {
		t.Errorf("rotated by %+v", by)
	}
	// Somebody opens the socket to all.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"status", "reload", "rotate"} {
		if got, _ := as(t, strange, verb, path); !strings.Contains(got, "uid 1001 is neither root nor in group 54990; be root, or get into that group") {
			t.Errorf("%s by a stranger: %s", verb, got)
		}
	}
	if n := strings.Count(b.String(), "refuses a caller"); n != 1 {
		t.Errorf("refusals in the log: %d\n%s", n, &b)
	}
}

// Without a group of its own the socket is the process's, also where a folder
// would have another.
func TestListenOwnGroup(t *testing.T) {
	dir := open(t, 0o755|os.ModeSetgid)
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, -1, 54990); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "s")
	l := listen(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Gid) != os.Getegid() || int(l.group) != os.Getegid() {
		t.Errorf("gid %d", s.Gid)
	}
}

func TestListenForeignGroup(t *testing.T) {
	needRoot(t)
	dir := open(t, 0o777)
	got, _ := as(t, &syscall.Credential{Uid: 1001, Gid: 1001}, "listen", filepath.Join(dir, "s"))
	if !strings.Contains(got, "it cannot be given to group 54990: ") || !strings.Contains(got, "run as root, as a member of that group, or with CAP_CHOWN") {
		t.Errorf("%s", got)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "s.new")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The group passes the socket's folder, whatever the umask.
func TestListenFolder(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "run")
	listen(t, filepath.Join(dir, "s"))
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}
