package kill

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// launchVerb is the first argument of a test binary that is to become a program
// under watch. The next are the socket of the Watch, whether writes count, and
// the program with its arguments.
const launchVerb = "launch-under-watch"

// Main does not return in a process that Watch.Argv has asked for. A TestMain
// calls it first.
func Main() {
	if len(os.Args) < 5 || os.Args[1] != launchVerb {
		return
	}
	err := launch(os.Args[2], os.Args[3] == "true", os.Args[4:])
	fmt.Fprintf(os.Stderr, "launch %s under watch: %v\n", os.Args[4], err)
	os.Exit(1)
}

// launch becomes the program argv. Process id, parent and descriptors stay.
func launch(socket string, writes bool, argv []string) error {
	runtime.LockOSThread() // the filter is the thread's
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: socket}); err != nil {
		return fmt.Errorf("%s: %w", socket, err)
	}
	stops, err := install(writes)
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(s, []byte{0}, unix.UnixRights(stops), nil, 0); err != nil {
		return fmt.Errorf("%s: %w", socket, err)
	}
	return syscall.Exec(argv[0], argv, os.Environ())
}
