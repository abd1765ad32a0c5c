package lab

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// A story that nobody hears ends, so that Run clears up.
func TestStoryEndsWhenItCannotBeTold(t *testing.T) {
	ctx, fail := context.WithCancelCause(t.Context())
	heard, out := io.Pipe()
	heard.Close()
	s := &story{out: out, fail: fail}
	s.say("once")
	if err := context.Cause(ctx); !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "cannot be told") {
		t.Errorf("after a lost line: %v", err)
	}
}
