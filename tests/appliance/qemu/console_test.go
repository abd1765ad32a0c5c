package qemu

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"
)

func pattern(s string) *regexp.Regexp { return regexp.MustCompile(s) }

func TestConsoleLines(t *testing.T) {
	c := newConsole(nil)
	for _, p := range []string{
		"\x1b[2J\x1b[01;01H", "BdsDxe: loading Boot0001\r\n", "half", " and half\r\n",
		"\x1b[1mname\x1b[0m  ce-1\x1b[5;1Hstate \x1b[32msecu", "red\x1b[", "0m\x1b[Kx\n", "prompt> ",
	} {
		c.Write([]byte(p))
	}
	var got []string
	for _, l := range c.Since(0) {
		got = append(got, l.Text)
	}
	want := "BdsDxe: loading Boot0001|half and half|name  ce-1|state securedx"
	if strings.Join(got, "|") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, _, err := c.Wait(t.Context(), c.Mark(), pattern("^prompt> $")); err != nil {
		t.Errorf("a line without its end: %v", err)
	}
}

func TestConsoleWait(t *testing.T) {
	c := newConsole(nil)
	c.Write([]byte("early\n"))
	mark := c.Mark()
	done := make(chan error)
	go func() {
		line, which, err := c.Wait(t.Context(), mark, pattern("late"), pattern("^e.rl.$"))
		if err == nil && (line.Text != "early" || which != 1) {
			t.Errorf("found %q by pattern %d", line.Text, which)
		}
		done <- err
	}()
	c.Write([]byte("early\nlate\n"))
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := c.Wait(ctx, c.Mark(), pattern("late")); err == nil {
		t.Error("a line before the mark is found")
	}
	c.end()
	if _, _, err := c.Wait(t.Context(), 0, pattern("never")); err == nil {
		t.Error("a machine without power says something")
	}
}
