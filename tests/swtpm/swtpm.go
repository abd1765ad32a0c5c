// Package swtpm runs Debian's TPM 2.0 emulator of that name, for tests of what
// is sealed to a TPM.
package swtpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Emulator is a TPM. Its memory is in a directory that goes with the test.
type Emulator struct {
	// Path is the Unix socket that stands in for the device.
	Path    string
	dir     string
	command *exec.Cmd
	control string
}

// timeout bounds each answer of the emulator.
const timeout = 20 * time.Second

// For starts a TPM for a test, which fails where the program is missing and
// root could have installed it, and else skips.
func For(t testing.TB) *Emulator {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil && os.Geteuid() != 0 {
		t.Skipf("needs swtpm: %v; run make deps", err)
	}
	e, err := start()
	if err != nil {
		t.Fatalf("%v; run make deps", err)
	}
	t.Cleanup(func() {
		if err := e.stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// start starts a new TPM, as the firmware would.
func start() (e *Emulator, err error) {
	// Not a test's own directory: a socket's path is at most 107 octets.
	dir, err := os.MkdirTemp("", "swtpm")
	if err != nil {
		return nil, err
	}
	e = &Emulator{Path: filepath.Join(dir, "tpm"), dir: dir, control: filepath.Join(dir, "control")}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("swtpm: %w", err), e.stop())
		}
	}()
	// It is given the control channel's socket: who connects waits for it.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: e.control, Net: "unix"})
	if err != nil {
		return e, err
	}
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	l.Close()
	if err != nil {
		return e, err
	}
	defer f.Close()
	e.command = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+e.Path, "--ctrl", "type=unixio,fd=3")
	e.command.ExtraFiles = []*os.File{f}
	var said bytes.Buffer // it tells each client that goes
	e.command.Stderr = &said
	e.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.command.Start(); err != nil {
		e.command = nil
		return e, err
	}
	if err := e.Reset(); err != nil {
		// Ended, so that all that it said is there.
		err = errors.Join(err, e.stop())
		return e, fmt.Errorf("%w: %s", err, said.Bytes())
	}
	return e, nil
}

// Reset powers the TPM off and on, and starts it: PCRs are 0 again, what was
// not flushed is gone, NV memory and keys stay.
func (e *Emulator) Reset() error {
	if err := e.request(initTPM, 0); err != nil {
		return err
	}
	// TPM2_Startup(TPM_SU_CLEAR)
	return e.execute([]byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0})
}

// Clear makes another TPM of it: its owner's seed is new, its NV memory empty.
func (e *Emulator) Clear() error {
	// TPM2_Clear by the lockout hierarchy with the empty password.
	return e.execute([]byte{
		0x80, 0x02, 0, 0, 0, 27, 0, 0, 0x01, 0x26,
		0x40, 0x00, 0x00, 0x0a, // TPM_RH_LOCKOUT
		0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0, // TPM_RS_PW
	})
}

// Extend changes a PCR of the SHA-256 bank.
func (e *Emulator) Extend(pcr byte) error {
	b := []byte{
		0x80, 0x02, 0, 0, 0, 65, 0, 0, 0x01, 0x82,
		0, 0, 0, pcr,
		0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0,
		0, 0, 0, 1, 0x00, 0x0b, // one digest, SHA-256
	}
	return e.execute(append(b, make([]byte, 32)...))
}

// execute sends one command and wants it to succeed.
func (e *Emulator) execute(command []byte) error {
	c, err := dial(e.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(command); err != nil {
		return err
	}
	var answer [10]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if rc := binary.BigEndian.Uint32(answer[6:]); rc != 0 {
		return fmt.Errorf("command %#x: response code %#x", command[6:10], rc)
	}
	return nil
}

// initTPM is the request of the control channel that powers off and on
// (swtpm_ioctls(3)), big-endian.
const initTPM = 2

func (e *Emulator) request(words ...uint32) error {
	c, err := dial(e.control)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := binary.Write(c, binary.BigEndian, words); err != nil {
		return err
	}
	var result uint32
	if err := binary.Read(c, binary.BigEndian, &result); err != nil {
		return err
	}
	if result != 0 {
		return fmt.Errorf("control request %d: result %#x", words[0], result)
	}
	return nil
}

func dial(path string) (net.Conn, error) {
	c, err := net.Dial("unix", path)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(timeout))
	}
	return c, err
}

// stop ends the TPM and removes its memory.
func (e *Emulator) stop() error {
	var err error
	if e.command != nil {
		err = e.command.Process.Kill()
		// That it was killed is no error.
		_ = e.command.Wait()
		e.command = nil
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}
