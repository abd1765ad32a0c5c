package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// monitor speaks QMP, QEMU's machine protocol: a command at a time, and events
// in between.
type monitor struct {
	conn *os.File

	calls   sync.Mutex // one command at a time
	answers chan answer
	mu      sync.Mutex
	events  []string
	changed chan struct{}
	ended   bool
}

type answer struct {
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
}

func newMonitor(conn *os.File) *monitor {
	m := &monitor{conn: conn, answers: make(chan answer), changed: make(chan struct{})}
	go m.read()
	return m
}

func (m *monitor) read() {
	d := json.NewDecoder(m.conn)
	for {
		var message struct {
			QMP   json.RawMessage
			Event string
			answer
		}
		if err := d.Decode(&message); err != nil {
			close(m.answers)
			m.note("", true)
			return
		}
		switch {
		case message.QMP != nil: // the greeting
		case message.Event != "":
			m.note(message.Event, false)
		default:
			m.answers <- message.answer
		}
	}
}

func (m *monitor) note(event string, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if event != "" {
		m.events = append(m.events, event)
	}
	m.ended = m.ended || ended
	close(m.changed)
	m.changed = make(chan struct{})
}

// execute runs a command and decodes what it returns into result, if that is
// not nil.
func (m *monitor) execute(command string, arguments, result any) error {
	m.calls.Lock()
	defer m.calls.Unlock()
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	if _, err := m.conn.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	select {
	case a, ok := <-m.answers:
		switch {
		case !ok:
			return fmt.Errorf("qmp %s: %w", command, io.ErrUnexpectedEOF)
		case a.Error != nil:
			return fmt.Errorf("qmp %s: %s: %s", command, a.Error.Class, a.Error.Desc)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Return, result)
	case <-time.After(30 * time.Second):
		return fmt.Errorf("qmp %s: no answer within 30 s", command)
	}
}

var errEnded = errors.New("QEMU ended")

// wait returns when the n-th event of that name, counted from 1, has come.
func (m *monitor) wait(ctx context.Context, name string, n int) error {
	for {
		m.mu.Lock()
		count := 0
		for _, e := range m.events {
			if e == name {
				count++
			}
		}
		ended, changed := m.ended, m.changed
		m.mu.Unlock()
		if count >= n {
			return nil
		}
		if ended {
			return fmt.Errorf("wait for %s: %w", name, errEnded)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
		}
	}
}

func (m *monitor) count(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.events {
		if e == name {
			n++
		}
	}
	return n
}
