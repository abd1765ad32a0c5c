package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec"
)

func (a *Appliance) charonDir() string { return filepath.Join(a.Dir, "charon") }

// CharonSocket is where charon of the appliance is asked, in vici's words.
func (a *Appliance) CharonSocket() string { return "unix://" + filepath.Join(a.charonDir(), "vici") }

// KillCharon ends the appliance's charon with SIGKILL.
func (a *Appliance) KillCharon() error {
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	mark := "STRONGSWAN_CONF=" + filepath.Join(a.charonDir(), "strongswan.conf") + "\x00"
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), mark) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return err
			}
			return unix.Kill(pid, unix.SIGKILL)
		}
	}
	return fmt.Errorf("appliance %s has no charon", a.Name)
}

// endCharon ends the charon that outlives the daemon, if there is one.
func (a *Appliance) endCharon() error { return ipsec.Stray(a.charonDir()) }
