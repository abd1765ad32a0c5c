// Package wire is what the host and the guest of tests/vm say to each other:
// jobs travel into the guest in its initramfs, and frames come back through a
// virtio port, so that nobody has to parse a console.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// PortName is the virtio port that carries the frames.
const PortName = "linkseal.vm"

// JobsPath is where the initramfs holds the Plan, as JSON.
const JobsPath = "/jobs.json"

// Plan is what a boot has to do.
type Plan struct {
	// Modules are loaded in this order before anything is mounted; paths in
	// the initramfs.
	Modules []string
	// Preload are names given to modprobe once the root is there.
	Preload []string
	// ModuleDir holds the kernel's lib/modules/RELEASE on the host.
	ModuleDir string
	Jobs      []Job
}

// Job is one command. Its output comes back as Stdout and Stderr frames.
type Job struct {
	Args []string // the program's path first
	Dir  string
	Env  []string
}

// Kind says what a frame carries.
type Kind byte

// The kinds of frame. A guest sends Ready once, then for each job Stdout and
// Stderr as they come and one Exit.
const (
	Ready  Kind = 'r' // the root is mounted, jobs begin; no payload
	Stdout Kind = 'o' // octets
	Stderr Kind = 'e' // octets
	Exit   Kind = 'x' // Status as JSON
	Fatal  Kind = 'f' // the guest could not go on: text
)

// Status is how a job ended.
type Status struct {
	Job   int
	Code  int    // exit status; 128 + the signal for a killed process
	Error string // set if the job did not start
}

// maxPayload bounds a frame; a writer splits what is longer.
const maxPayload = 1 << 16

// Writer writes frames. Several goroutines may use it.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Frame writes payload in as many frames as it takes, at least one.
func (w *Writer) Frame(k Kind, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		n := min(len(payload), maxPayload)
		buf := make([]byte, 5, 5+n)
		buf[0] = byte(k)
		binary.BigEndian.PutUint32(buf[1:], uint32(n))
		if _, err := w.w.Write(append(buf, payload[:n]...)); err != nil {
			return fmt.Errorf("write a frame: %w", err)
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
	}
}

// JSON writes v as the payload of one frame.
func (w *Writer) JSON(k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.Frame(k, b)
}

// Stream is an io.Writer of frames of one kind.
func (w *Writer) Stream(k Kind) io.Writer { return stream{w, k} }

type stream struct {
	w *Writer
	k Kind
}

func (s stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.w.Frame(s.k, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ReadFrame reads one frame. It returns io.EOF between frames only.
func ReadFrame(r io.Reader) (Kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxPayload {
		return 0, nil, fmt.Errorf("frame of %d octets; at most %d", n, maxPayload)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, fmt.Errorf("frame cut short: %w", err)
	}
	return Kind(head[0]), payload, nil
}
