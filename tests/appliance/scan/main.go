// Command scan tries to reach every TCP and UDP port of an address and prints
// those that answer, one a line: "tcp 22 open", "tcp 80 refused", "udp 53
// answers". It runs on an appliance, against the other one.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	atOnce = 2000
	wait   = 4 * time.Second // an emulated machine under load is slow to answer
)

func main() {
	if len(os.Args) != 2 || net.ParseIP(os.Args[1]) == nil {
		fmt.Fprintln(os.Stderr, "usage: scan ADDRESS")
		os.Exit(2)
	}
	for _, network := range []string{"tcp", "udp"} {
		for port, answer := range all(network, os.Args[1]) {
			if answer != "" {
				fmt.Println(network, port, answer)
			}
		}
	}
	fmt.Println("done")
}

// all tries the ports, many at once.
func all(network, address string) []string {
	answers := make([]string, 1<<16)
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for port := 1; port < len(answers); port++ {
		places <- struct{}{}
		wg.Go(func() {
			answers[port] = try(network, net.JoinHostPort(address, fmt.Sprint(port)))
			<-places
		})
	}
	wg.Wait()
	return answers
}

// try returns how the port answers; empty: not at all.
func try(network, address string) string {
	conn, err := net.DialTimeout(network, address, wait)
	if err == nil && network == "tcp" {
		conn.Close()
		return "open"
	}
	if err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(wait))
		if _, err = conn.Write([]byte("?")); err == nil {
			if _, err = conn.Read(make([]byte, 1)); err == nil {
				return "answers"
			}
		}
	}
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return ""
	}
	return err.Error() // no answer of the port, and no silence either
}
