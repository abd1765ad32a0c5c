package tpm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Counter is a monotonic counter in the TPM's NV memory (part 1, NV counters).
// One that is removed and made again begins past the value that it had: it is
// not set back.
// Everyone who may use the TPM may count it up; nobody can count it down.
type Counter struct {
	tpm   *TPM
	index uint32
}

// The NV indexes that are the owner's (TCG Registry of Reserved TPM 2.0
// Handles and Localities). A name begins to look for its own at a place that
// is its hash, and tries that and those after it.
const (
	firstIndex = 0x01800000
	indexes    = 0x00400000
	tries      = 8
)

// Counter is the one at an NV index; it need not be there.
func (t *TPM) Counter(index uint32) *Counter { return &Counter{t, index} }

// CounterFor finds the index of a name: the first that is free or a counter
// like ours. The error is an *Error.
func (t *TPM) CounterFor(name string) (*Counter, error) {
	sum := sha256.Sum256([]byte("linkseal counter " + name))
	c := &Counter{tpm: t}
	err := t.with("find a counter", func(tp transport.TPM) error {
		for i := range uint32(tries) {
			c.index = firstIndex + (binary.BigEndian.Uint32(sum[:])+i)%indexes
			_, err := c.public(tp)
			if err == nil || errors.Is(err, ErrNoCounter) {
				return nil
			}
			if !errors.Is(err, errNotOurs) {
				return err
			}
		}
		return errTaken
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Index is the NV index.
func (c *Counter) Index() uint32 { return c.index }

// Value reads it. The error is an *Error; ErrNoCounter is in it if there is no
// counter of ours at the index.
func (c *Counter) Value() (n uint64, err error) {
	err = c.tpm.with(fmt.Sprintf("read counter %#x", c.index), func(tp transport.TPM) error {
		n, err = c.read(tp)
		return err
	})
	return n, err
}

// Define makes it if it is not there, and reads it. The error is an *Error.
func (c *Counter) Define() (n uint64, err error) {
	err = c.tpm.with(fmt.Sprintf("make counter %#x", c.index), func(tp transport.TPM) error {
		n, err = c.read(tp)
		if !errors.Is(err, ErrNoCounter) {
			return err
		}
		_, err = c.public(tp)
		if errors.Is(err, ErrNoCounter) {
			_, err = tpm2.NVDefineSpace{
				AuthHandle: tpm2.TPMRHOwner,
				PublicInfo: tpm2.New2B(tpm2.TPMSNVPublic{
					NVIndex:    tpm2.TPMHandle(c.index),
					NameAlg:    tpm2.TPMAlgSHA256,
					Attributes: attributes,
					DataSize:   8,
				}),
			}.Execute(tp)
		}
		if err != nil {
			return err
		}
		// It has no value before it is first counted up.
		if err := c.increment(tp); err != nil {
			return err
		}
		n, err = c.read(tp)
		return err
	})
	return n, err
}

// maxSteps bounds Advance: one step is the rule.
const maxSteps = 4

// Advance brings it to a value that is not less than its own, a few steps away
// at the most. The error is an *Error.
func (c *Counter) Advance(to uint64) error {
	return c.tpm.with(fmt.Sprintf("advance counter %#x", c.index), func(tp transport.TPM) error {
		n, err := c.read(tp)
		if err != nil {
			return err
		}
		if n > to || to-n > maxSteps {
			return fmt.Errorf("it is at %d, to be at %d", n, to)
		}
		for ; n < to; n++ {
			if err := c.increment(tp); err != nil {
				return err
			}
		}
		return nil
	})
}

// attributes are a counter's, and those that ours is known by.
var attributes = tpm2.TPMANV{
	NT:        tpm2.TPMNTCounter,
	AuthRead:  true,
	AuthWrite: true,
	OwnerRead: true, OwnerWrite: true,
	NoDA: true,
}

var errNotOurs = errors.New("the NV index is another program's")

// public returns the name of our counter at the index: ErrNoCounter if nothing
// is there, errNotOurs if something else is.
func (c *Counter) public(tp transport.TPM) (*tpm2.TPM2BName, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(c.index)}.Execute(tp)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, ErrNoCounter
	}
	if err != nil {
		return nil, err
	}
	is, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	known := is.Attributes
	known.Written = false
	if is.NVIndex != tpm2.TPMHandle(c.index) || known != attributes || is.DataSize != 8 || len(is.AuthPolicy.Buffer) != 0 {
		return nil, errNotOurs
	}
	return &rsp.NVName, nil
}

func (c *Counter) read(tp transport.TPM) (uint64, error) {
	name, err := c.public(tp)
	if errors.Is(err, errNotOurs) {
		return 0, fmt.Errorf("%w: %w", ErrNoCounter, err)
	}
	if err != nil {
		return 0, err
	}
	index := tpm2.TPMHandle(c.index)
	rsp, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: index, Name: *name, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: index, Name: *name},
		Size:       8,
	}.Execute(tp)
	if errors.Is(err, tpm2.TPMRCNVUninitialized) {
		return 0, fmt.Errorf("%w: it was never counted up", ErrNoCounter)
	}
	if err != nil {
		return 0, err
	}
	if len(rsp.Data.Buffer) != 8 {
		return 0, fmt.Errorf("a counter of %d octets", len(rsp.Data.Buffer))
	}
	return binary.BigEndian.Uint64(rsp.Data.Buffer), nil
}

func (c *Counter) increment(tp transport.TPM) error {
	name, err := c.public(tp)
	if err != nil {
		return err
	}
	index := tpm2.TPMHandle(c.index)
	_, err = tpm2.NVIncrement{
		AuthHandle: tpm2.AuthHandle{Handle: index, Name: *name, Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: index, Name: *name},
	}.Execute(tp)
	return err
}
