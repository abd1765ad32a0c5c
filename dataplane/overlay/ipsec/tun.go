package ipsec

import (
	"bufio"
	"bytes"
	"errors"
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
	name, err := tunOf(fmt.Sprintf("/proc/%d/fdinfo", pid))
	if errors.Is(err, errNoTun) {
		return "", fmt.Errorf("charon (process %d): %w", pid, err)
	}
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

// errNoTun: a charon that has just started listens before it has its tun.
var errNoTun = errors.New("it has no tun yet; it needs /dev/net/tun and libcharon-extra-plugins")

// tunOf is the name of the tun that a process has open, by its fdinfo (proc(5)).
// One that is opened and not made yet has none.
func tunOf(dir string) (string, error) {
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
			name, ok := strings.CutPrefix(lines.Text(), "iff:")
			if name = strings.TrimSpace(name); ok && name != "" {
				return name, nil
			}
		}
	}
	return "", errNoTun
}
