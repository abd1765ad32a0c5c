package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// The directories that the image's linkseal.service may write, and that outlive it or
// not: all else is read-only to it, and no drop-in changes that in an image.
const (
	writableState  = "/var/lib/linkseal"
	writableSocket = "/run/linkseal"
	writableKeys   = "/etc/linkseal"
)

// unwritable is what of a configuration the daemon of an image could not make, and so
// not run with.
func unwritable(c *config.Config) (all strict.Problems) {
	held := func(setting, path, what string, dirs ...string) {
		if path != "" && !slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }) {
			all = append(all, c.Problem(setting, fmt.Sprintf("%s %s is where the image's daemon cannot write", what, path), "a path below "+strings.Join(dirs, " or ")))
		}
	}
	held("state", c.State, "state", writableState)
	held("control.socket", filepath.Dir(c.Socket), "socket in", writableSocket)
	for i, t := range c.Tunnels {
		if t.WireGuard != nil {
			held(fmt.Sprintf("tunnels.%d.wireguard.private_key", i), t.WireGuard.PrivateKey, "private_key", writableState, writableKeys)
		}
	}
	return all
}
