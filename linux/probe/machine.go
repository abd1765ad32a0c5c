package probe

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const tpmDevice = "/dev/tpmrm0"

func tryTPM() (string, error) {
	f, err := os.OpenFile(tpmDevice, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	f.Close()
	return "opened " + tpmDevice, nil
}

// lockedOctets hold the keys of a hundred ports.
const lockedOctets = 256 << 10

func tryMemLock() (string, error) {
	b, err := unix.Mmap(-1, 0, lockedOctets, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return "", os.NewSyscallError("mmap", err)
	}
	defer unix.Munmap(b)
	if err := unix.Mlock(b); err != nil {
		return "", os.NewSyscallError("mlock", err)
	}
	return fmt.Sprintf("locked %d KiB", lockedOctets>>10), nil
}

// notBefore is a day on which no linkseal existed: a clock that shows an
// earlier one was never set.
var notBefore = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func tryClockSane() (string, error) { return clockSane(time.Now()) }

func clockSane(now time.Time) (string, error) {
	text := now.UTC().Format(time.RFC3339)
	if now.Before(notBefore) {
		return "", fmt.Errorf("the clock shows %s, in the past", text)
	}
	return text, nil
}

func tryClockSync() (string, error) {
	var tx unix.Timex // modes 0: only reads
	state, err := unix.Adjtimex(&tx)
	if err != nil {
		return "", os.NewSyscallError("adjtimex", err)
	}
	return clockSync(state, tx.Status, tx.Maxerror)
}

// clockSync judges what adjtimex(2) said; maxError is in microseconds.
func clockSync(state int, status int32, maxError int64) (string, error) {
	if state == unix.TIME_ERROR || status&unix.STA_UNSYNC != 0 {
		return "", fmt.Errorf("the kernel says that nothing disciplines the clock (STA_UNSYNC)")
	}
	return fmt.Sprintf("within %s", time.Duration(maxError)*time.Microsecond), nil
}

func tryCap(name string, c int) func() (string, error) {
	return func() (string, error) {
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var d [2]unix.CapUserData
		if err := unix.Capget(&h, &d[0]); err != nil {
			return "", os.NewSyscallError("capget", err)
		}
		if d[c/32].Effective&(1<<(c%32)) == 0 {
			return "", fmt.Errorf("the process has no effective %s", name)
		}
		return "granted", nil
	}
}
