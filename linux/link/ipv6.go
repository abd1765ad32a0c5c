package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const ipv6Dir = "/proc/sys/net/ipv6/conf"

// ipv6Off is what keeps an interface free of IPv6, in the order of writing:
// disable_ipv6 takes addresses away and drops packets; the other two see to it
// that none comes by itself if somebody switches disable_ipv6 off again.
var ipv6Off = []struct{ key, value string }{
	{"accept_ra", "0"},
	{"addr_gen_mode", "1"}, // none
	{"disable_ipv6", "1"},
}

// DisableIPv6 takes all IPv6 off an interface, its link-local address and
// autoconfiguration included, and keeps it off. It writes sysctls, and needs
// none where the kernel runs without IPv6, or the interface does (MTU under
// 1280).
func (h *Handle) DisableIPv6(index int) error {
	return h.sysctl(index, "disable ipv6", func(dir string) error {
		for _, s := range ipv6Off {
			if err := writeSysctl(filepath.Join(dir, s.key), s.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// IPv6Disabled tells whether all that DisableIPv6 does is in effect.
func (h *Handle) IPv6Disabled(index int) (bool, error) {
	disabled := true
	err := h.sysctl(index, "read ipv6 settings", func(dir string) error {
		for _, s := range ipv6Off {
			v, err := readSysctl(filepath.Join(dir, s.key))
			if err != nil {
				return err
			}
			disabled = disabled && v == s.value
		}
		return nil
	})
	return disabled, err
}

// EnableIPv6 undoes DisableIPv6: the namespace's defaults for new interfaces
// apply again.
func (h *Handle) EnableIPv6(index int) error {
	return h.sysctl(index, "enable ipv6", func(dir string) error {
		for _, s := range ipv6Off {
			v, err := readSysctl(filepath.Join(ipv6Dir, "default", s.key))
			if err != nil {
				return err
			}
			if err := writeSysctl(filepath.Join(dir, s.key), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// sysctl calls f in the namespace with the interface's directory, if it has
// one.
func (h *Handle) sysctl(index int, op string, f func(dir string) error) error {
	l, err := h.ByIndex(index)
	if err != nil {
		return err
	}
	if l.Name == "all" || l.Name == "default" {
		return fail(l.Name, op, errors.New("the name means every interface in /proc/sys/net: rename the interface"))
	}
	err = h.ns.Do(func() error {
		dir := filepath.Join(ipv6Dir, l.Name)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return f(dir)
	})
	if err != nil {
		return fail(l.Name, op, err)
	}
	return nil
}

func readSysctl(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}

// writeSysctl leaves alone what is as it should be, so that a second run works
// where /proc/sys is read-only.
func writeSysctl(path, value string) error {
	if v, err := readSysctl(path); err == nil && v == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("%w; mount /proc/sys writable, or set it to %s beforehand", err, value)
	}
	return nil
}
