package tpm

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// Error is an operation of the TPM that failed, with the remedy.
type Error struct {
	Path   string
	Op     string
	What   string // the cause; empty: Err tells
	Remedy string
	// Foreign tells that what was to be unsealed is another TPM's, or was
	// sealed before this one was cleared.
	Foreign bool
	Err     error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("TPM %s: %s: ", e.Path, e.Op)
	switch {
	case e.What == "":
		text += e.Err.Error()
	case e.Err != nil:
		text += fmt.Sprintf("%s (%v)", e.What, e.Err)
	default:
		text += e.What
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

var (
	errOther = errors.New("the storage primary is another one: sealed by another TPM, or before this one was cleared")
	// errNoBank is a PCR that is not there.
	errNoBank = errors.New("no SHA-256 bank of PCRs")
	// ErrNoCounter is a counter that is not in the TPM.
	ErrNoCounter = errors.New("no such counter in the TPM")
	errTaken     = errors.New("its NV indexes are taken by others")
)

// foreign marks the error of a blob that is another TPM's.
type foreign struct{ error }

func (f foreign) Unwrap() error { return f.error }

// withheld is a policy that is not satisfied: which PCRs differ.
type withheld struct {
	error
	pcrs []int
}

func (w withheld) Unwrap() error { return w.error }

// loadError is what an error of TPM2_Load means: a private area that the
// primary did not protect has no integrity under it.
func loadError(err error) error {
	for _, rc := range []tpm2.TPMRC{tpm2.TPMRCIntegrity, tpm2.TPMRCSensitive, tpm2.TPMRCSize, tpm2.TPMRCHash, tpm2.TPMRCBinding, tpm2.TPMRCType, tpm2.TPMRCAttributes} {
		if errors.Is(err, rc) {
			return foreign{err}
		}
	}
	return err
}

func unsealError(tp transport.TPM, pcrs []pcr, err error) error {
	if errors.Is(err, tpm2.TPMRCPolicyFail) || errors.Is(err, tpm2.TPMRCPCRChanged) || errors.Is(err, tpm2.TPMRCValue) && len(pcrs) > 0 {
		return withheld{err, changed(tp, pcrs)}
	}
	return err
}

// explain gives an error its cause and remedy.
func explain(path, op string, err error) *Error {
	e := &Error{Path: path, Op: op, Err: err}
	var elsewhere foreign
	var kept withheld
	is := func(all ...tpm2.TPMRC) bool {
		for _, rc := range all {
			if errors.Is(err, rc) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.As(err, &elsewhere):
		e.Foreign, e.Err = true, elsewhere.error
	case errors.As(err, &kept):
		e.What, e.Err = "PCRs have not the values that they had when it was sealed", kept.error
		if len(kept.pcrs) > 0 {
			e.What = fmt.Sprintf("PCRs %v have not the values that they had when it was sealed", kept.pcrs)
		}
		e.Remedy = "firmware, boot loader or kernel were changed: start what was started then, or let the keys be fetched and sealed anew"
	case errors.Is(err, broker.ErrUnanswered): // which tells the remedy
	case errors.Is(err, ErrHangs):
		e.Remedy = "if that lasts, power the machine off and on, or seal with a credential or a file"
	case errors.Is(err, fs.ErrNotExist):
		e.What, e.Err = "there is no TPM", nil
		e.Remedy = "enable it in the firmware and load its driver (tpm_tis, tpm_crb), or seal with a credential or a file"
	case errors.Is(err, fs.ErrPermission):
		e.What, e.Err = "no permission", nil
		e.Remedy = "run as root, or as a user of the group that the device belongs to (tss, as a rule)"
	case errors.Is(err, unix.EBUSY):
		e.What, e.Err = "another program uses it", nil
		e.Remedy = "use /dev/tpmrm0, or stop that program"
	case is(tpm2.TPMRCLockout):
		e.What, e.Remedy = "it is locked out after failed authorizations", "wait for its recovery time, or reset the lockout (tpm2_dictionarylockout --clear-lockout)"
	case is(tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthUnavailable):
		e.What, e.Remedy = "the owner hierarchy has a password", "take it off (tpm2_changeauth -c owner -p OLD), or seal with a credential or a file"
	case is(tpm2.TPMRCHierarchy):
		e.What, e.Remedy = "the owner hierarchy is off", "enable it in the firmware"
	case is(tpm2.TPMRCObjectMemory, tpm2.TPMRCSessionMemory, tpm2.TPMRCMemory, tpm2.TPMRCObjectHandles, tpm2.TPMRCSessionHandles):
		e.What, e.Remedy = "it has no room for another object or session", "use /dev/tpmrm0, or flush what others left (tpm2_flushcontext -t -l -s)"
	case is(tpm2.TPMRCNVSpace):
		e.What, e.Remedy = "it has no room for a counter", "remove an NV index that nobody uses (tpm2_getcap handles-nv-index, tpm2_nvundefine), or seal with a credential or a file"
	case errors.Is(err, errTaken):
		e.Remedy = "remove one (tpm2_getcap handles-nv-index, tpm2_nvundefine), or seal with a credential or a file"
	case is(tpm2.TPMRCNVRate, tpm2.TPMRCNVUnavailable, tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting):
		e.What, e.Remedy = "it is busy", "try again in a minute"
	case is(tpm2.TPMRCInitialize):
		e.What, e.Remedy = "it was not started", "the firmware does that; restart the machine"
	case is(tpm2.TPMRCFailure):
		e.What, e.Remedy = "it is in failure mode", "power the machine off and on"
	case errors.Is(err, errNoBank):
		e.Remedy = "enable the SHA-256 bank in the firmware, or seal without pcrs"
	}
	return e
}
