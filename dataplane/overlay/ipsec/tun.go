package ipsec

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/netns"
)

// ownTun gives the tun of a charon in user space our alias and returns its name,
// which is charon's, ipsec0: it looks its tun up by that name.
func ownTun(ns *netns.NS, pid int, tunnel string) (string, error) {
	name, err := tunOf(pid)
	if err != nil {
		return "", err
	}
	var h *link.Handle
	if err = ns.Do(func() (err error) { h, err = link.Open(); return err }); err != nil {
		return "", err
	}
	defer h.Close()
	l, err := h.ByName(name)
	if err != nil {
		return "", err
	}
	if alias := overlay.Alias(tunnel, 0); l.Alias != alias {
		err = h.SetAlias(l.Index, alias)
	}
	return name, err
}

// tunOf is the name of the tun that a process has open (proc(5), fdinfo).
func tunOf(pid int) (string, error) {
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	all, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range all {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "iff:"); ok {
				return strings.TrimSpace(name), nil
			}
		}
	}
	return "", fmt.Errorf("charon (process %d) has no tun; it needs /dev/net/tun and libcharon-extra-plugins", pid)
}
