package broker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long the broker may take: microseconds, but where all processors
	// are busy. Without its answer a filter counts as unknown, and a tunnel as unsecured.
	patience = 3 * time.Second
	// starting is how long after the first question it may: it starts with who asks. It is
	// less than a peer waits for a word of MKA.
	starting = 5 * time.Second
	// trials is how long it may take to try something, which makes devices and may have
	// the kernel load modules, and to open a TPM.
	trials = 15 * time.Second
)

// Ask asks the broker that Variable names. The descriptor, -1 if there is none to be
// had, is the caller's. An error that is ErrUnanswered tells nothing of what was asked
// for; any other is the broker's, and has the kernel's number.
func Ask(r Request) (fd int, text string, err error) { return ask(os.Getenv(Variable), r) }

var asked sync.Map // the time of the first question by path

func ask(path string, r Request) (fd int, text string, err error) {
	first, _ := asked.LoadOrStore(path, time.Now())
	limit := max(patience, starting-time.Since(first.(time.Time)))
	if r.What != Trial && r.What != TPM {
		return askIn(limit, topic{path, 0}, r)
	}
	// Whether it answers at all is found out in less time: it does not know nothing.
	if _, _, err := askIn(limit, topic{path, 0}, Request{}); errors.Is(err, ErrUnanswered) {
		return -1, "", err
	}
	return askIn(trials, topic{path, r.What}, r)
}

// askIn asks within a time, unless the topic is one that was asked in vain just now.
func askIn(limit time.Duration, on topic, r Request) (fd int, text string, err error) {
	until := time.Now().Add(limit)
	if err := on.quiet(); err != nil {
		return -1, "", err
	}
	reply, err := exchange(on.path, r, until)
	if left(err) {
		// It ended with the question, and its next one may have come: what is asked
		// twice does no harm.
		reply, err = exchange(on.path, r, until)
	}
	if errors.Is(err, unix.EAGAIN) {
		return -1, "", on.timedOut(limit)
	}
	if err != nil {
		return -1, "", &unanswered{on.path, err.Error()}
	}
	if reply.Errno == 0 {
		return reply.FD, reply.Text, nil
	}
	if reply.FD >= 0 {
		unix.Close(reply.FD)
	}
	return -1, "", &refusal{reply}
}

// left tells that who was asked has gone.
func left(err error) bool {
	return err == io.EOF || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
}

// exchange makes a connection of its own: it costs some microseconds, and a broker that
// was started anew is no case apart. EAGAIN is the end of the time.
func exchange(path string, r Request, until time.Time) (Reply, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return Reply{}, os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	// Zero would be for ever.
	limit := unix.NsecToTimeval(max(time.Until(until), time.Millisecond).Nanoseconds())
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, option, &limit); err != nil {
			return Reply{}, os.NewSyscallError("setsockopt", err)
		}
	}
	err = restarting(until, func() error { return unix.Connect(s, &unix.SockaddrUnix{Name: path}) })
	if err != nil {
		return Reply{}, os.NewSyscallError("connect", err)
	}
	err = restarting(until, func() error { return unix.Sendmsg(s, r.append(nil), nil, nil, unix.MSG_NOSIGNAL) })
	if err != nil {
		return Reply{}, os.NewSyscallError("send", err)
	}
	return receive(s, until)
}

// restarting calls f again when a signal interrupted it, for as long as there is time.
func restarting(until time.Time, f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
		if !time.Now().Before(until) {
			return unix.EAGAIN
		}
	}
}

// receive reads a reply, with its descriptor. io.EOF: there will be none.
func receive(s int, until time.Time) (Reply, error) {
	b, oob := make([]byte, 4+maxText+1), make([]byte, unix.CmsgSpace(4*4))
	var n, oobn int
	err := restarting(until, func() (err error) {
		n, oobn, _, _, err = unix.Recvmsg(s, b, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return Reply{}, os.NewSyscallError("receive", err)
	}
	if n == 0 {
		return Reply{}, io.EOF
	}
	var fds []int
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	if err == nil && len(fds) > 1 {
		err = fmt.Errorf("%d descriptors in one reply", len(fds))
	}
	var reply Reply
	if err == nil {
		reply, err = parseReply(b[:n])
	}
	if err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return Reply{}, err
	}
	if len(fds) == 1 {
		reply.FD = fds[0]
	}
	return reply, nil
}
