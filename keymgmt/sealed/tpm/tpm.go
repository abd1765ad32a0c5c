package tpm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"github.com/linkseal/linkseal/linux/broker"
)

// Devices are where Linux has a TPM, in the order to try: the first has the
// kernel's resource manager, the second admits one user at a time.
var Devices = []string{"/dev/tpmrm0", "/dev/tpm0"}

// TPM seals with one TPM, opened for each operation. One operation at a time.
type TPM struct {
	// Patience bounds an operation; 0: DefaultPatience.
	Patience time.Duration

	path string
	pcrs []int
	open func(path string) (transport.TPMCloser, error)
}

// New returns the TPM at path, a character device or an emulator's Unix
// socket; the empty path is the first of Devices that is there, by the broker if there is one. Keys are
// sealed to the values of pcrs, 0 to 23, if there are any. Nothing is opened.
func New(path string, pcrs []int) *TPM {
	switch {
	case path != "":
	case broker.Configured():
		return &TPM{path: Devices[0], pcrs: pcrs, open: borrow}
	default:
		path = first()
	}
	return &TPM{path: path, pcrs: pcrs, open: open}
}

// Path is the device.
func (t *TPM) Path() string { return t.path }

// Info is what a TPM says of itself.
type Info struct {
	Path         string
	Manufacturer string // four letters, as registered with the TCG
	Firmware     string
}

// Probe tries all that sealing needs of the TPM but a counter, and leaves
// nothing in it. The error is an *Error.
func (t *TPM) Probe() (Info, error) {
	info := Info{Path: t.path}
	err := t.with("try it", func(tp transport.TPM) error {
		maker, err := property(tp, tpm2.TPMPTManufacturer)
		if err != nil {
			return err
		}
		fw, err := property(tp, tpm2.TPMPTFirmwareVersion1)
		if err != nil {
			return err
		}
		info.Manufacturer = letters(maker)
		info.Firmware = fmt.Sprintf("%d.%d", fw>>16, fw&0xffff)
		p, err := newPrimary(tp)
		if err != nil {
			return err
		}
		defer p.flush()
		if _, err := readPCRs(tp, t.pcrs); err != nil {
			return err
		}
		return nil
	})
	return info, err
}

// letters are the four octets of n that print.
func letters(n uint32) string {
	var s []byte
	for shift := 24; shift >= 0; shift -= 8 {
		if c := byte(n >> shift); c > ' ' && c < 0x7f {
			s = append(s, c)
		}
	}
	return string(s)
}

func property(tp transport.TPM, p tpm2.TPMPT) (uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(p), PropertyCount: 1}.Execute(tp)
	if err != nil {
		return 0, err
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, err
	}
	if len(list.TPMProperty) == 0 || list.TPMProperty[0].Property != p {
		return 0, fmt.Errorf("no property %#x", uint32(p))
	}
	return list.TPMProperty[0].Value, nil
}

// with opens the TPM for f; what it says in the error is what was to be done.
// It returns in time, whatever the TPM does.
func (t *TPM) with(what string, f func(transport.TPM) error) error {
	tp, err := t.begin()
	if err == nil {
		err = f(tp)
		err = errors.Join(err, tp.Close())
	}
	if err != nil {
		return explain(t.path, what, err)
	}
	return nil
}

func open(path string) (transport.TPMCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == fs.ModeSocket {
		return linuxudstpm.Open(path)
	}
	return linuxtpm.Open(path)
}

// primary is the storage key that data keys are sealed under.
type primary struct {
	tp     transport.TPM
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

func newPrimary(tp transport.TPM) (*primary, error) {
	rsp, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner,
		InPublic:      tpm2.New2B(tpm2.ECCSRKTemplate),
	}.Execute(tp)
	if err != nil {
		return nil, err
	}
	p := &primary{tp: tp, handle: rsp.ObjectHandle}
	public, err := rsp.OutPublic.Contents()
	if err == nil {
		p.public = *public
		// Of the public area that sessions are salted to, whatever the answer
		// says that its name is.
		var name *tpm2.TPM2BName
		if name, err = tpm2.ObjectName(public); err == nil {
			p.name = *name
		}
	}
	if err != nil {
		p.flush()
		return nil, err
	}
	return p, nil
}

func (p *primary) flush() { flush(p.tp, p.handle) }

// flush frees a place among the TPM's few for objects. What fails here fails
// for whoever needs the place.
func flush(tp transport.TPM, h tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: h}.Execute(tp)
}

// salted are the options of a session that is salted to the primary and, as
// encrypted says, encrypts the first parameter of a command or its answer.
func (p *primary) salted(encrypted tpm2.AuthOption) []tpm2.AuthOption {
	return []tpm2.AuthOption{encrypted, tpm2.Salted(p.handle, p.public)}
}

// session is one that authorizes with the empty password.
func (p *primary) session(encrypted tpm2.AuthOption) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, nonce, p.salted(encrypted)...)
}

// nonce is the length of a session's nonces in octets.
const nonce = 16

var (
	toTPM   = tpm2.AESEncryption(128, tpm2.EncryptIn)
	fromTPM = tpm2.AESEncryption(128, tpm2.EncryptOut)
)
