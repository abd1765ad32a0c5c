package trial

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
)

// Devices are the network interfaces that a configuration needs the machine to
// have. The text need not be one that passes.
func Devices(path, text string) (names []string) {
	c, _ := config.Parse(path, text)
	add := func(name string) {
		made := slices.ContainsFunc(c.Ports, func(p config.Port) bool { return p.Interface == name })
		if name != "" && !made && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, p := range c.Ports {
		add(p.Device)
	}
	for _, t := range c.Tunnels {
		add(t.Device)
	}
	return names
}

// Await waits until the devices are there, up to most: early in a boot drivers
// are still being loaded, and names given. What is not there by then is told by
// the check.
func Await(ctx context.Context, names []string, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		missing := slices.ContainsFunc(names, func(name string) bool {
			_, err := os.Lstat(filepath.Join("/sys/class/net", name))
			return errors.Is(err, fs.ErrNotExist)
		})
		if !missing {
			tick.Stop()
			return
		}
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}
