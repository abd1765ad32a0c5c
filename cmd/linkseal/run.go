package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/drops"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/dataplane/status/metrics"
	"github.com/linkseal/linkseal/keymgmt/file"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/retire"
	"github.com/linkseal/linkseal/linux/clock"
	"github.com/linkseal/linkseal/linux/sdnotify"
)

func runVerb() *cobra.Command {
	var path, format string
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the daemon: make ports and tunnels, agree on keys, keep links encrypted",
		Long: `Run the daemon in the foreground. It logs to standard error. SIGHUP, or
linkseal reload, reads the configuration and the keys anew; key files are also
read when they change. On SIGTERM it ends and leaves everything in place: the kernel goes on encrypting
(a port in user space passes nothing until the daemon is back), the filters go
on refusing what is in clear. With metrics: {listen: 127.0.0.1:9469} it serves
what linkseal status --json tells to Prometheus, at /metrics. A configuration that is
refused is exit status 1, and 78 under a service manager (NOTIFY_SOCKET is set), which
need not try again until it is mended.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// A log that nobody reads any more is lost; keys are agreed on.
			defer survivePipes()()
			log, err := newLog(format)
			if err != nil {
				return err
			}
			cfg, err := loadAnew(path)
			if err != nil {
				return inVain(path, err)
			}
			ctx, stop := untilSignal(c)
			defer stop()
			return runDaemon(ctx, path, cfg, log)
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration `FILE`")
	c.Flags().StringVar(&format, "log-format", "text", "`FORMAT` of the log: text or json")
	return c
}

// refusedStatus is EX_CONFIG of sysexits.h, which systemctl status has a name for.
const refusedStatus = 78

// inVain tells a service manager by the exit status that to start anew with a file that
// is refused is in vain. By hand it is a failure as any, and a file that cannot be opened
// is one to try again.
func inVain(path string, err error) error {
	var problems strict.Problems
	if !sdnotify.Managed() || !errors.As(err, &problems) {
		return err
	}
	f, cannot := os.Open(path)
	if cannot != nil {
		return err
	}
	f.Close()
	sdnotify.Send(sdnotify.Status("the configuration is refused; mend it, and systemctl start linkseal"))
	return &exitError{status: refusedStatus, err: err}
}

func newLog(format string) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, nil)), nil
	}
	return nil, usage(fmt.Errorf("--log-format %q is unknown; accepted are text and json", format))
}

// loadConfig reads the configuration file alone: what keys and devices lack
// keeps a port from running, not the daemon.
func loadConfig(path string) (*config.Config, error) {
	if path == "" {
		return nil, usage(errors.New("--config FILE is missing"))
	}
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

// loadAnew reads the file for a start or a reload. What would keep the daemon from
// starting with it is wrong with it too.
func loadAnew(path string) (*config.Config, error) {
	cfg, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	return cfg, runnable(cfg)
}

// runnable says what of a configuration that passes keeps the daemon from starting.
func runnable(cfg *config.Config) error {
	_, problems := cfg.ControlGroup(thisMachine{})
	return problems.Err()
}

func runDaemon(ctx context.Context, path string, cfg *config.Config, log *slog.Logger) error {
	// First: a reload that comes early must not end the daemon.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, unix.SIGHUP)
	defer signal.Stop(hup)
	if err := hideMemory(); err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return fmt.Errorf("state directory: %w; `state: DIR` in the configuration names another", err)
	}
	group, problems := cfg.ControlGroup(thisMachine{})
	if err := problems.Err(); err != nil {
		return err
	}
	socket, err := status.Listen(cfg.Socket, group)
	if err != nil {
		return err
	}
	defer socket.Close()
	machine, err := reconcile.OpenKernel()
	if err != nil {
		return err
	}
	defer machine.Close()
	machine.Remember(cfg.State)
	switch err := machine.Claim(filepath.Dir(status.DefaultSocket)); {
	case errors.Is(err, reconcile.ErrClaimed):
		return err
	case err != nil:
		log.Warn("a second daemon in this network namespace would not be noticed", "error", err)
	}
	if m := status.ReadMemory(); m.Problem != "" {
		log.Warn("keys in memory are not kept as they should be", "problem", m.Problem)
	}
	eraser := retire.New(runtime.GC)
	var r *reconcile.Reconciler
	var endpoint *metrics.Endpoint
	rotator := newRotator(cfg.State, func() *reconcile.Reconciler { return r }, log)
	snapshot := func() status.Status {
		s := r.Status()
		s.Memory, s.Metrics = status.ReadMemory(), endpoint.Report()
		rotator.report(&s)
		return s
	}
	endpoint = metrics.NewEndpoint(snapshot, log)
	watcher := drops.New(log, machine.Do)
	defer watcher.Close()
	overlays, err := openTunnels(cfg, log)
	if err != nil {
		return err
	}
	defer overlays.Close()
	r = reconcile.New(cfg, reconcile.Options{
		Machine: machine,
		Drops:   watcher,
		Open: func(p config.Port, at reconcile.Place) (reconcile.Session, error) {
			return openSession(p, at, cfg.State, eraser.Soon, log)
		},
		OpenTunnel: overlays.open,
		Answer:     overlays.answer,
		Source:     func(k config.Keychain) (reconcile.Source, error) { return openSource(k, log) },
		Load:       func() (*config.Config, error) { return loadAnew(path) },
		Configured: func(c *config.Config) {
			rotator.configured(c)
			endpoint.Set(c.Metrics)
		},
		Seen:    seenFile(filepath.Join(cfg.State, file.SeenName)),
		Keeper:  newKeeper(cfg, log),
		Clock:   new(clock.Clock).Now,
		Log:     log,
		Version: version(),
		Notify:  sdnotify.Send,
		Alive:   sdnotify.WatchdogInterval(),
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for {
			select {
			case <-hup:
				r.Reload()
			case <-ctx.Done():
				return
			}
		}
	}()
	go eraser.Run(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { rotator.Run(ctx) })
	beside.Go(func() { endpoint.Run(ctx) })
	served := make(chan error, 1)
	go func() {
		served <- status.Serve(ctx, socket, status.Daemon{Snapshot: snapshot, Reload: r.AwaitReload, Rotate: rotator.rotate, Log: log})
		stop()
	}()
	log.Info("linkseal runs", "version", version(), "config", path, "socket", cfg.Socket, "state", cfg.State, "ports", len(cfg.Ports), "tunnels", len(cfg.Tunnels))
	err = r.Run(ctx)
	stop()
	beside.Wait()
	return errors.Join(err, <-served)
}

// keyFile is a key file as a source of keys.
type keyFile string

func openSource(k config.Keychain, log *slog.Logger) (reconcile.Source, error) {
	if k.Vault != nil {
		return openVault(k, log), nil
	}
	return keyFile(k.Path), nil
}

func (f keyFile) Load() (*keychain.Keychain, error) { return file.Load(string(f)) }

func (f keyFile) Watch(ctx context.Context) <-chan struct{} { return file.Watch(ctx, string(f)) }

// seenFile keeps first-seen times.
type seenFile string

func (f seenFile) Load() (map[string]keychain.Seen, error) { return file.LoadSeen(string(f)) }

func (f seenFile) Save(s map[string]keychain.Seen) error { return file.SaveSeen(string(f), s) }
