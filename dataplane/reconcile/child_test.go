package reconcile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/dataplane/overlay/overlaytest"
)

// childEnv names the configuration with which this test binary is a daemon whose
// tunnels encrypt nothing, to be killed.
const childEnv = "LINKSEAL_TEST_RECONCILER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs the reconciler on this machine until SIGTERM. Each line of standard
// input is an order, and is answered when it is obeyed: live, dead, reload.
func child(path string) error {
	k, err := OpenKernel()
	if err != nil {
		return err
	}
	defer k.Close()
	load := func() (*config.Config, error) { return config.Load(path) }
	cfg, err := load()
	if err != nil {
		return err
	}
	sessions := make(chan *overlaytest.Session, 100)
	r := New(cfg, Options{
		Machine: k, Load: load, Seen: &fakeSeen{}, Keeper: &fakeKeeper{},
		Source: func(config.Keychain) (Source, error) { return nil, errors.New("none is used") },
		Clock:  func() (time.Time, bool) { return time.Now(), true },
		Log:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
		OpenTunnel: func(t config.Tunnel, at overlay.Place) (overlay.Session, error) {
			s := overlaytest.New(t, at)
			sessions <- s
			return s, nil
		},
	})
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	go func() {
		var s *overlaytest.Session
		for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
			for s == nil || len(sessions) > 0 {
				s = <-sessions
			}
			switch orders.Text() {
			case "live":
				s.SetLive(0)
			case "dead":
				s.SetLive()
			case "reload":
				if wrong, err := r.AwaitReload(ctx); err != nil || len(wrong) > 0 {
					fmt.Println(wrong, err)
				}
			}
			fmt.Println("done: " + orders.Text())
		}
	}()
	return r.Run(ctx)
}
