package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/images/provision/bundle"
	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// unwritable is what of a configuration the daemon of an image could not make, and so not
// run with: to linkseal.service all is read-only but a few directories, and no drop-in
// changes that in an image.
func unwritable(c *config.Config) (all strict.Problems) {
	held := func(setting, path, what string, dirs ...string) {
		if path != "" && !slices.ContainsFunc(dirs, func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }) {
			all = append(all, c.Problem(setting, fmt.Sprintf("%s %s is where the image's daemon cannot write", what, path), "a path below "+strings.Join(dirs, " or ")))
		}
	}
	held("state", c.State, "state", config.DefaultState)
	held("control.socket", filepath.Dir(c.Socket), "socket in", filepath.Dir(config.DefaultSocket))
	for i, t := range c.Tunnels {
		if t.WireGuard != nil {
			held(fmt.Sprintf("tunnels.%d.wireguard.private_key", i), t.WireGuard.PrivateKey, "private_key", config.DefaultState, bundle.Linkseal)
		}
	}
	return all
}
