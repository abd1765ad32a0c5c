// Package broker splits privileges: a daemon that reads what hostile peers send
// does without CAP_SYS_ADMIN and without opening packet sockets, and asks a broker,
// a process of its own that reads nothing else, for the few file descriptors that
// take as much. The broker's address is in LINKSEAL_BROKER, which the service's unit
// sets; without it the daemon does all by itself.
//
// Over a SOCK_SEQPACKET socket a request is 12 octets: what, and two numbers. Its
// reply is an errno and a text, with a descriptor if there is one to lend.
package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Variable of the environment has the path of the broker's socket.
const Variable = "LINKSEAL_BROKER"

// What is asked for.
type What uint32

// What a broker does; the numbers are those of the protocol.
const (
	Program      What = iota + 1 // the BPF program with id A
	Map                          // the BPF map with id B, which program A has
	InnerMap                     // the BPF map in the array of maps with id B, which program A has
	MapExists                    // whether there is a BPF map with id A; no descriptor
	Cgroups                      // the root of the cgroups
	PacketSocket                 // AF_PACKET, SOCK_RAW, protocol 0, with flags A, in the network namespace with inode B
	TPM                          // the machine's TPM
	Group                        // group A for the control socket with inode B; no descriptor
	Trial                        // what a trial of feature A found, as text
	Deepen                       // room in the sockets of charon, process A; no descriptor
)

// Request is one question.
type Request struct {
	What What
	A, B uint32
}

// Reply is its answer.
type Reply struct {
	Errno unix.Errno // 0: it was done
	Text  string     // what was found, or why it was not done
	FD    int        // -1: none
}

const (
	requestLen = 12
	maxText    = 4096
)

// append adds r as it is on the wire.
func (r Request) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(r.What))
	b = binary.LittleEndian.AppendUint32(b, r.A)
	return binary.LittleEndian.AppendUint32(b, r.B)
}

func parseRequest(b []byte) (r Request, err error) {
	if len(b) != requestLen {
		return r, fmt.Errorf("a request of %d octets; accepted: %d", len(b), requestLen)
	}
	le := binary.LittleEndian
	return Request{What(le.Uint32(b)), le.Uint32(b[4:]), le.Uint32(b[8:])}, nil
}

// append adds r, but for its descriptor, as it is on the wire.
func (r Reply) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Errno))
	return append(b, r.Text[:min(len(r.Text), maxText)]...)
}

func parseReply(b []byte) (r Reply, err error) {
	if len(b) < 4 || len(b) > 4+maxText {
		return r, fmt.Errorf("a reply of %d octets", len(b))
	}
	return Reply{Errno: unix.Errno(binary.LittleEndian.Uint32(b)), Text: string(b[4:]), FD: -1}, nil
}

// failed is the reply that says err.
func failed(err error) Reply {
	r := Reply{Errno: unix.EIO, Text: err.Error(), FD: -1}
	var errno unix.Errno
	if errors.As(err, &errno) && errno != 0 {
		r.Errno = errno
	}
	return r
}

// refusal is a Reply that says no, as an error: what the kernel told the broker.
type refusal struct{ Reply }

func (r *refusal) Error() string { return "linkseal's broker: " + r.Text }

func (r *refusal) Unwrap() error { return r.Errno }

// Configured tells whether there is one to ask.
func Configured() bool { return os.Getenv(Variable) != "" }
