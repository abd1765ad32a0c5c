// Package sdnotify tells the service manager what state the daemon is in: the
// protocol of sd_notify(3), datagrams of KEY=VALUE lines to the socket that
// NOTIFY_SOCKET names. Without that variable everything here does nothing.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Ready says that start-up, or a reload, is finished.
const Ready = "READY=1"

// Stopping says that shutdown has begun.
const Stopping = "STOPPING=1"

// Watchdog says that the daemon is alive; see WatchdogInterval.
const Watchdog = "WATCHDOG=1"

// Status is a line for `systemctl status`.
func Status(text string) string { return "STATUS=" + text }

// Extend says that starting or stopping goes on, and may take d more until the next word.
func Extend(d time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds())
}

// Managed tells whether a service manager listens.
func Managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Reloading says that a reload begins; Ready ends it. Type=notify-reload
// wants the monotonic time with it, in microseconds.
func Reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

// Send sends states, in one datagram. The service manager not listening is an
// error that no caller needs to die of.
func Send(states ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A leading @ is the abstract namespace, for net and sd_notify alike.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer c.Close()
	var message []byte
	for _, s := range states {
		message = append(append(message, s...), '\n')
	}
	if _, err := c.Write(message); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// WatchdogInterval is how often Watchdog is due: half of what the service
// manager grants. 0: it does not ask for it.
func WatchdogInterval() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}
