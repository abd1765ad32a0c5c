package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/dataplane/inspect"
)

// TestInspectInterrupted: a live capture that is broken off still ends with
// the verdict on what was seen, and each record is shown as it comes.
func TestInspectInterrupted(t *testing.T) {
	pcap, err := os.ReadFile("../../dataplane/inspect/testdata/psk128.pcap")
	if err != nil {
		t.Fatal(err)
	}
	in, err := inspect.New(inspect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdin, feed := io.Pipe()
	read, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := runInspect(ctx, "-", in, false, stdin, stdout, io.Discard)
		stdout.Close()
		done <- err
	}()
	go feed.Write(pcap) // and no end of file
	var out strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := read.Read(buf)
		out.Write(buf[:n])
		if strings.Contains(out.String(), "\n   21 ") {
			cancel()
		}
		if err != nil {
			break
		}
	}
	feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"verdict\n", "MACsec frames: 6: 0 verified"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
