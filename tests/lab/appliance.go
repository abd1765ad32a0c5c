package lab

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/linux/netns"
	"github.com/linkseal/linkseal/tests/leak"
)

// Appliance is one linkseal with its own network namespace and folder.
type Appliance struct {
	Name    string
	NS      *netns.NS
	Dir     string
	MAC     net.HardwareAddr
	Address netip.Prefix // on the MACsec device
	// Wrap, if not nil, makes of the daemon's command line another that becomes it.
	Wrap func(argv []string) []string

	binary   string
	env      []string // of daemon and verbs, beside this process's
	keychain string   // of the configuration, in YAML
	daemon   *exec.Cmd
	exited   chan struct{}
	log      logBuffer
	used     []Key // ever
	hidden   []leak.Secret

	// Of a lab with an Underlay.
	Under  netip.Addr // on the port
	number int
	public string // key of WireGuard, base64
}

// Key is a CAK under its CKN, in hex, for a keychain file of a lab.
type Key struct{ CKN, CAK string }

// Port is what differs between the ports of a lab.
type Port struct {
	Cipher    string   // default gcm-aes-256
	Dataplane string   // default auto
	Priority  int      // default 16
	Extra     []string // more lines of the port, as "replay_window: 64"
	MKA       string   // more of its mka, as "hello: 1s"
}

// ConfigFile and KeysFile are the appliance's files.
func (a *Appliance) ConfigFile() string { return filepath.Join(a.Dir, "linkseal.yaml") }

// KeysFile is the keychain.
func (a *Appliance) KeysFile() string { return filepath.Join(a.Dir, "keys.yaml") }

// Socket is the control socket.
func (a *Appliance) Socket() string { return filepath.Join(a.Dir, "ctl") }

// WriteConfig writes the configuration of one port.
func (a *Appliance) WriteConfig(p Port) error {
	if p.Cipher == "" {
		p.Cipher = "gcm-aes-256"
	}
	if p.Dataplane == "" {
		p.Dataplane = "auto"
	}
	if p.Priority == 0 {
		p.Priority = 16
	}
	mka := fmt.Sprintf("priority: %d", p.Priority)
	if p.MKA != "" {
		mka += ", " + p.MKA
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: %s\ncontrol: {socket: %s}\nstate: %s\n", a.Name, a.Socket(), a.State())
	b.WriteString("sealing: {with: file}\n") // this machine's TPM is none of a lab's business
	keychain := a.keychain
	if keychain == "" {
		keychain = "source: file\n    path: " + a.KeysFile()
	}
	fmt.Fprintf(&b, "keychains:\n  link1:\n    %s\n", keychain)
	fmt.Fprintf(&b, "ports:\n  - name: link1\n    device: %s\n    interface: %s\n    dataplane: %s\n    cipher: %s\n    keychain: link1\n    addresses: [%s]\n    mka: {%s}\n",
		Device, Interface, p.Dataplane, p.Cipher, a.Address, mka)
	for _, line := range p.Extra {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return os.WriteFile(a.ConfigFile(), []byte(b.String()), 0o644)
}

// WriteKeys replaces the keychain file in one rename.
func (a *Appliance) WriteKeys(keys ...Key) error {
	var b strings.Builder
	b.WriteString("keys:\n")
	for _, k := range keys {
		fmt.Fprintf(&b, "  - {ckn: %s, cak: %s}\n", k.CKN, k.CAK)
	}
	a.Uses(keys...)
	tmp := a.KeysFile() + ".new"
	if err := os.WriteFile(tmp, []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, a.KeysFile())
}

// Start runs the daemon. It does not wait for it to be ready.
func (a *Appliance) Start() error {
	if a.daemon != nil {
		return fmt.Errorf("appliance %s runs already", a.Name)
	}
	argv := []string{a.binary, "run", "--config", a.ConfigFile()}
	if a.Wrap != nil {
		argv = a.Wrap(argv)
	}
	cmd := a.NS.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &a.log, &a.log
	// What it may leave in a temporary folder is looked at.
	cmd.Env = append(append(os.Environ(), a.env...), "TMPDIR="+a.Dir)
	// A terminal's Ctrl-C is the lab's to handle. The death of a lab that could
	// not clear up, of SIGKILL, ends the daemon too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		// Pdeathsig comes when the thread that started the process ends: this
		// one stays until the process has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("appliance %s: %w", a.Name, err)
	}
	a.daemon, a.exited = cmd.Cmd, exited
	return nil
}

// State is the daemon's state directory.
func (a *Appliance) State() string { return filepath.Join(a.Dir, "state") }

// Signal sends the daemon a signal.
func (a *Appliance) Signal(s os.Signal) error {
	if a.daemon == nil {
		return fmt.Errorf("appliance %s does not run", a.Name)
	}
	return a.daemon.Process.Signal(s)
}

// Pid is the daemon's; 0 if it does not run.
func (a *Appliance) Pid() int {
	if a.daemon == nil {
		return 0
	}
	return a.daemon.Process.Pid
}

// Kill ends the daemon with SIGKILL.
func (a *Appliance) Kill() error { return a.end(context.Background(), syscall.SIGKILL) }

// endsWithin is how long a daemon may take to end: it seals its keys, on a machine
// that may do other things too.
const endsWithin = time.Minute

// Stop ends the daemon with SIGTERM, and after some time with SIGKILL. One
// that does not run is no error. It is one, here and of Kill, if a key is found
// outside of the daemon: in its log, status, arguments, environment or files.
func (a *Appliance) Stop(ctx context.Context) error { return a.end(ctx, syscall.SIGTERM) }

func (a *Appliance) end(ctx context.Context, s os.Signal) error {
	if a.daemon == nil {
		return nil
	}
	defer func() { a.daemon = nil }()
	shown := a.alive(s == syscall.SIGTERM)
	if err := a.daemon.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, endsWithin)
	defer cancel()
	select {
	case <-a.exited:
		return a.leaks(shown)
	case <-ctx.Done():
	}
	a.daemon.Process.Kill()
	<-a.exited
	return errors.Join(fmt.Errorf("appliance %s did not end within %v of %v and was killed", a.Name, endsWithin, s), a.leaks(shown))
}

// ended is an error if the daemon has ended, and nobody has asked it to.
func (a *Appliance) ended() error {
	if a.daemon == nil {
		return nil
	}
	select {
	case <-a.exited:
		return fmt.Errorf("the daemon of %s has ended: %v", a.Name, a.daemon.ProcessState)
	default:
		return nil
	}
}

// Log is what the daemons have written so far.
func (a *Appliance) Log() string { return a.log.String() }

// Status asks the daemon for its port.
func (a *Appliance) Status(ctx context.Context) (status.Port, error) {
	s, err := a.status(ctx)
	if err != nil {
		return status.Port{}, err
	}
	if len(s.Ports) != 1 {
		return status.Port{}, fmt.Errorf("appliance %s reports %d ports", a.Name, len(s.Ports))
	}
	return s.Ports[0], nil
}

func (a *Appliance) status(ctx context.Context) (status.Status, error) {
	return status.NewClient(a.Socket()).Status(ctx)
}

// ReloadErrors are those of the last reload; also when the daemon cannot be
// asked.
func (a *Appliance) ReloadErrors(ctx context.Context) []string {
	s, err := a.status(ctx)
	if err != nil {
		return []string{err.Error()}
	}
	return s.Reload
}

// CKN is the one whose SAK the appliance encodes with; empty if none.
func CKN(p status.Port) string {
	for _, m := range p.Participants {
		if m.Principal {
			return m.CKN
		}
	}
	return ""
}

// Settled tells whether a port is secured under a CKN with one SA on every SC:
// what was before is gone.
func Settled(p status.Port, ckn string) bool {
	if p.State != status.Secured || CKN(p) != ckn || p.Tx == nil || len(p.Rx) == 0 {
		return false
	}
	for _, r := range p.Rx {
		if r.AN != p.Tx.AN {
			return false
		}
	}
	return true
}

// RandomKey makes a CKN of n octets and a CAK of m.
func RandomKey(r interface{ Read([]byte) (int, error) }, n, m int) (Key, error) {
	b := make([]byte, n+m)
	if _, err := r.Read(b); err != nil {
		return Key{}, err
	}
	return Key{CKN: hex.EncodeToString(b[:n]), CAK: hex.EncodeToString(b[n:])}, nil
}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
