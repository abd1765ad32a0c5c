package qemu

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Line is what a machine said on its serial console, and when.
type Line struct {
	At   time.Time
	Text string
}

// quiet is how long a line without its end has to stay so to be taken as it is.
const quiet = 300 * time.Millisecond

// Console keeps all that a machine says. It outlives the machine's power cuts
// and resets: lines are numbered from the first boot on.
type Console struct {
	mu      sync.Mutex
	lines   []Line
	partial string
	changed chan struct{} // closed and replaced with each change
	ended   bool
	log     io.Writer
}

func newConsole(log io.Writer) *Console {
	return &Console{changed: make(chan struct{}), log: log}
}

// Firmware, boot manager and linkseal's screen place their text with escape
// sequences; a move of the cursor is as good as a new line.
var (
	moves   = regexp.MustCompile(`\x1b\[[0-9;]*[HfABEFGdJ]`)
	escapes = regexp.MustCompile(`\x1b(\[[0-9;?=]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78cDEMNOZ])|[\x00-\x08\x0b-\x1f\x7f]`)
	unended = regexp.MustCompile(`\x1b(\[[0-9;?=]*)?$`)
)

// Write takes what comes from the machine. Text without its end of line is
// looked at too, as prompts are.
func (c *Console) Write(p []byte) (int, error) {
	if c.log != nil {
		c.log.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.partial + strings.ReplaceAll(string(p), "\r", "\n")
	kept := unended.FindString(text)
	text = moves.ReplaceAllString(strings.TrimSuffix(text, kept), "\n")
	text = escapes.ReplaceAllString(text, "")
	now := time.Now()
	for {
		line, rest, ok := strings.Cut(text, "\n")
		if !ok {
			break
		}
		if line = strings.TrimSpace(line); line != "" {
			c.lines = append(c.lines, Line{now, line})
		}
		text = rest
	}
	c.partial = text + kept
	close(c.changed)
	c.changed = make(chan struct{})
	return len(p), nil
}

func (c *Console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	close(c.changed)
	c.changed = make(chan struct{})
}

// restart follows an end: the machine has power again.
func (c *Console) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = false
}

// Mark is the number of the next line: what comes from now on.
func (c *Console) Mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lines)
}

// Since returns the lines from a mark on.
func (c *Console) Since(mark int) []Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Line(nil), c.lines[min(mark, len(c.lines)):]...)
}

// Wait returns the first line from mark on that matches one of the patterns,
// and which of them. It ends with ctx, or when the machine has no power.
func (c *Console) Wait(ctx context.Context, mark int, patterns ...*regexp.Regexp) (Line, int, error) {
	next := mark
	for {
		c.mu.Lock()
		for ; next < len(c.lines); next++ {
			for i, p := range patterns {
				if p.MatchString(c.lines[next].Text) {
					found := c.lines[next]
					c.mu.Unlock()
					return found, i, nil
				}
			}
		}
		partial, ended, changed := c.partial, c.ended, c.changed
		c.mu.Unlock()
		// A prompt has no end of line; half a line of text gets its end soon.
		prompt := -1
		for i, p := range patterns {
			if partial != "" && p.MatchString(partial) {
				prompt = i
				break
			}
		}
		var still <-chan time.Time
		if prompt >= 0 {
			still = time.After(quiet)
		}
		if ended && prompt < 0 {
			return Line{}, 0, fmt.Errorf("the machine ended before its console said %v", patterns)
		}
		select {
		case <-changed:
		case <-still:
			return Line{time.Now(), partial}, prompt, nil
		case <-ctx.Done():
			return Line{}, 0, fmt.Errorf("the console did not say %v: %w", patterns, context.Cause(ctx))
		}
	}
}

// Tail is the end of what was said, to show with a failure.
func (c *Console) Tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, l := range c.lines[max(0, len(c.lines)-n):] {
		fmt.Fprintf(&b, "\t%s %s\n", l.At.Format("15:04:05.000"), l.Text)
	}
	if c.partial != "" {
		fmt.Fprintf(&b, "\t%s\n", c.partial)
	}
	return b.String()
}
