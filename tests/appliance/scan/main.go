// Command scan tries to reach every TCP and UDP port of an IPv4 address and prints
// those that answer, one a line: "tcp 22 open", "tcp 80 refused", "udp 53 answers",
// "udp 54 unreachable"; then "done". It runs as root, on an appliance, against the
// other one.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

// quiet is how long an answer may take at the end, and how long an echo. An emulated
// machine under load is slow.
const quiet = 20 * time.Second

func main() {
	target := net.ParseIP(os.Args[len(os.Args)-1]).To4()
	if len(os.Args) != 2 || target == nil {
		fmt.Fprintln(os.Stderr, "usage: scan IPV4-ADDRESS")
		os.Exit(2)
	}
	lines, err := scan(target, 1<<16-1, quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(1)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	fmt.Println("done")
}
