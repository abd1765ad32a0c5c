package keyvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// helperTime bounds an order whose context has no deadline.
const helperTime = 2 * time.Minute

// Helper is a Vault that does each order in a child process of its own: this
// program, run with HelperVerb. It implements Vault.
type Helper struct {
	config Config
	path   string   // of the program
	args   []string // with its name
}

// NewHelper is the helper of c. Nothing is read or run yet.
func NewHelper(c Config) *Helper {
	// The program that runs, also when the file was replaced meanwhile.
	return &Helper{config: c, path: "/proc/self/exe", args: []string{os.Args[0], HelperVerb}}
}

// Fetch implements Vault.
func (h *Helper) Fetch(ctx context.Context, r Request) (*Answer, error) {
	m, values, err := h.do(ctx, order{Op: "fetch", Request: r})
	if err != nil {
		return nil, err
	}
	return &Answer{Versions: m.Versions, Values: values, Fault: m.Fault}, nil
}

// Write implements Vault.
func (h *Helper) Write(ctx context.Context, p Pair) (*Written, error) {
	m, _, err := h.do(ctx, order{Op: "write", Pair: p})
	if err == nil && m.Written == nil {
		err = faultf(Local, "the vault helper answered nothing")
	}
	return m.Written, err
}

// Disable implements Vault.
func (h *Helper) Disable(ctx context.Context, pair string) error {
	_, _, err := h.do(ctx, order{Op: "disable", ID: pair})
	return err
}

// List implements Vault.
func (h *Helper) List(ctx context.Context) ([]Listed, error) {
	m, _, err := h.do(ctx, order{Op: "list"})
	return m.Pairs, err
}

// do runs one child, to its end in every case.
func (h *Helper) do(ctx context.Context, o order) (m meta, values []Value, err error) {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	o.Config = h.config
	o.Deadline, _ = ctx.Deadline()
	text, err := json.Marshal(o)
	if err != nil {
		return m, nil, faultf(Local, "the order to the vault helper: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The kernel sends Pdeathsig when the thread ends that started the
		// child, so the thread stays with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		m, values, err = h.run(ctx, text)
	}()
	<-done
	if err == nil && m.Failed != nil {
		for _, v := range values {
			v.Octets.Zero()
		}
		return meta{}, nil, m.Failed
	}
	return m, values, err
}

func (h *Helper) run(ctx context.Context, order []byte) (m meta, values []Value, err error) {
	out, in, err := os.Pipe()
	if err != nil {
		return m, nil, faultf(Local, "the vault helper: %v", err)
	}
	defer out.Close()
	said := &head{room: 512}
	c := exec.CommandContext(ctx, h.path)
	c.Args, c.Env, c.Dir = h.args, environment(os.Environ()), "/"
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(order), in, said
	c.WaitDelay = time.Second
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = c.Start()
	in.Close() // the child has its own
	if err != nil {
		return m, nil, faultf(Local, "the vault helper cannot be run: %v", err)
	}
	stop := context.AfterFunc(ctx, func() { out.SetReadDeadline(time.Now()) })
	m, values, rerr := readAnswer(out)
	stop()
	if rerr == nil {
		// It has done all that it was for.
		_ = c.Process.Kill()
		_ = c.Wait()
		return m, values, nil
	}
	out.Close() // it may still be writing
	late := time.AfterFunc(time.Second, func() { _ = c.Process.Kill() })
	werr := c.Wait()
	late.Stop()
	switch {
	case ctx.Err() != nil:
		return m, nil, asFault(ctx.Err())
	case said.text() != "":
		return m, nil, faultf(Local, "the vault helper failed: %s", said.text())
	case werr != nil && !errors.Is(rerr, os.ErrDeadlineExceeded):
		return m, nil, faultf(Local, "the vault helper failed: %v, its answer: %v", werr, rerr)
	}
	return m, nil, faultf(Local, "the vault helper's answer: %v", rerr)
}

// environment is what the child needs of env: who it is, and the way to the
// vault. Secrets that other programs take from there it does not.
func environment(env []string) []string {
	out := []string{"GOTRACEBACK=none"} // a trace has arguments
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		upper := strings.ToUpper(name)
		switch {
		case slices.Contains([]string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD", "AZURE_SDK_GO_LOGGING"}, name):
		case strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "IDENTITY_") || strings.HasPrefix(name, "MSI_"),
			slices.Contains([]string{"IMDS_ENDPOINT", "DEFAULT_IDENTITY_CLIENT_ID", "SSL_CERT_FILE", "SSL_CERT_DIR"}, name),
			slices.Contains([]string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}, upper):
			out = append(out, e)
		}
	}
	return out
}

// head keeps the first octets that are written to it.
type head struct {
	buf  bytes.Buffer
	room int
}

func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), h.room-h.buf.Len())])
	return len(p), nil
}

// text is the first line. The child's own messages have no values in them; a
// crash of the runtime says what kind it is.
func (h *head) text() string {
	line, _, _ := strings.Cut(strings.TrimSpace(h.buf.String()), "\n")
	return printable(line, 200)
}

var _ io.Writer = (*head)(nil)
