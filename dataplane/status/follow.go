package status

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// silence is how long a stream may say nothing, not even an empty line.
	silence = 3 * keepAlive
	// maxEvent bounds a line of a stream, in octets.
	maxEvent = 1 << 20
)

var errSilent = fmt.Errorf("the daemon has said nothing for %s; linkseal status shows whether it lives", silence)

// Rotate has the daemon rotate the keys of the port called name, and hands on
// each event as the daemon wrote it, until the rotation has ended: well if the
// error is nil. When ctx ends, or each returns an error, which is returned, the
// rotation goes on unseen.
func (c *Client) Rotate(ctx context.Context, name string, each func(event json.RawMessage) error) error {
	const what = "rotation by"
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	mute := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer mute.Stop()
	answer, err := c.send(ctx, what, http.MethodPost, "/v1/rotate", map[string]string{"name": name})
	if err != nil {
		return c.cut(ctx, what, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return c.refused(what, answer)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		mute.Reset(silence)
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(line, &fields); err != nil {
			if lines.Err() != nil {
				break // its end is lost
			}
			return c.failed(what, fmt.Errorf("a line that is no JSON object: %w; is it linkseal's socket?", err))
		}
		var last failure
		if len(fields) == 1 && json.Unmarshal(line, &last) == nil && last.Error != "" {
			return errors.New(last.Error)
		}
		if err := each(bytes.Clone(line)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return c.cut(ctx, what, fmt.Errorf("the stream was cut (%w), and the rotation's end was not seen; linkseal status tells what the port has", err))
	}
	return nil
}

// cut is why a stream ended before its time.
func (c *Client) cut(ctx context.Context, what string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return c.failed(what, cause)
	}
	return err
}
