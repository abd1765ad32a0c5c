package qemu

import (
	"encoding/json"
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
	ended   chan struct{} // closed when QEMU says no more
	why     string        // it shut down; to be read when it has ended
}

type answer struct {
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
}

func newMonitor(conn *os.File) *monitor {
	m := &monitor{conn: conn, answers: make(chan answer, 1), ended: make(chan struct{})}
	go m.read()
	return m
}

func (m *monitor) read() {
	defer close(m.ended)
	defer close(m.answers)
	d := json.NewDecoder(m.conn)
	for {
		var message struct {
			QMP   json.RawMessage
			Event string
			Data  struct{ Reason string }
			answer
		}
		if err := d.Decode(&message); err != nil {
			return
		}
		switch {
		case message.QMP != nil: // the greeting
		case message.Event == "SHUTDOWN":
			m.why = message.Data.Reason
		case message.Event != "":
		default:
			select {
			case m.answers <- message.answer:
			default: // whoever asked has given up
			}
		}
	}
}

// reset tells whether the machine, which has ended, is to boot again.
func (m *monitor) reset() bool { return m.why == "guest-reset" || m.why == "host-qmp-system-reset" }

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
