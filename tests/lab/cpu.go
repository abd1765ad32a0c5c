package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is USER_HZ, in which the kernel tells processor time to all (time(7)).
const tick = time.Second / 100

// CPU is the processor time that the daemon has used.
func (a *Appliance) CPU() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.Pid()))
	if err != nil {
		return 0, err
	}
	// The name may have anything in it; utime and stime are the 12th and 13th
	// field behind it (proc_pid_stat(5)).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("processor time of %s: %q", a.Name, text)
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time of %s: %w", a.Name, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
