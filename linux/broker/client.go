package broker

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the broker may take. A trial makes devices, and may have the
// kernel load modules.
const patience = 15 * time.Second

// Ask asks the broker that Variable names. The descriptor, -1 if there is none to be
// had, is the caller's.
func Ask(r Request) (fd int, text string, err error) { return ask(os.Getenv(Variable), r) }

// ask makes a connection of its own: it costs some microseconds, and a broker that was
// started anew is no case apart.
func ask(path string, r Request) (fd int, text string, err error) {
	fail := func(err error) (int, string, error) {
		return -1, "", fmt.Errorf("linkseal's broker at %s: %w; it is linkseal-broker.service", path, err)
	}
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(s)
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(s, unix.SOL_SOCKET, option, &limit); err != nil {
			return fail(err)
		}
	}
	if err := restarting(func() error { return unix.Connect(s, &unix.SockaddrUnix{Name: path}) }); err != nil {
		return fail(err)
	}
	if err := restarting(func() error { return unix.Sendmsg(s, r.append(nil), nil, nil, unix.MSG_NOSIGNAL) }); err != nil {
		return fail(err)
	}
	reply, err := receive(s)
	if err != nil {
		return fail(err)
	}
	if reply.Errno != 0 {
		if reply.FD >= 0 {
			unix.Close(reply.FD)
		}
		return -1, "", &refusal{reply}
	}
	return reply.FD, reply.Text, nil
}

// restarting calls f again when a signal interrupted it.
func restarting(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// receive reads a reply, with its descriptor.
func receive(s int) (Reply, error) {
	b, oob := make([]byte, 4+maxText+1), make([]byte, unix.CmsgSpace(4*4))
	var n, oobn int
	err := restarting(func() (err error) {
		n, oobn, _, _, err = unix.Recvmsg(s, b, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	if err != nil {
		return Reply{}, err
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
