package tpm

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
	"github.com/linkseal/linkseal/linux/broker/brokertest"
)

// A broker that does not answer is a TPM that does not, and not one that is missing;
// what the broker says of the TPM is so.
func TestBorrow(t *testing.T) {
	dir, err := os.MkdirTemp("", "lent") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := func(name string) *net.UnixListener {
		t.Setenv(broker.Variable, filepath.Join(dir, name))
		l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	for name, prepare := range map[string]func(){
		"there is none":   func() { t.Setenv(broker.Variable, filepath.Join(dir, "none")) },
		"it has gone":     func() { l := listen("gone"); l.SetUnlinkOnClose(false); l.Close() },
		"it does nothing": func() { listen("hangs") },
		"it dies": func() {
			l := listen("dies")
			go func() {
				for {
					c, err := l.AcceptUnix()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
		},
	} {
		prepare()
		_, err := New("", nil).Probe()
		var e *Error
		if !errors.Is(err, ErrHangs) || !errors.As(err, &e) || errors.Is(err, fs.ErrNotExist) || e.Foreign || e.What != "" {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "linkseal-broker.service") || strings.Contains(err.Error(), "power the machine")) {
			t.Errorf("%s: the remedy is not in %v", name, err)
		}
	}

	path, _ := brokertest.Serve(t, map[broker.What]broker.Lend{
		broker.TPM: func(_, _ uint32) (int, string, error) { return -1, "", unix.ENOENT },
	})
	t.Setenv(broker.Variable, path)
	_, err = New("", nil).Probe()
	if errors.Is(err, ErrHangs) || err == nil || !strings.Contains(err.Error(), "there is no TPM") {
		t.Errorf("the machine has none: %v", err)
	}
}
