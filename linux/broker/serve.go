package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/peercred"
	"github.com/linkseal/linkseal/linux/sdnotify"
)

// Lend does what is asked. The descriptor, -1 for none, is given away.
type Lend func(a, b uint32) (fd int, text string, err error)

const (
	// most is how many are served at once: the daemon asks one thing at a time, mostly.
	most = 32
	// idle is how long a connection may wait to ask.
	idle = 5 * time.Second
)

// Activated is the socket that the service manager listens at for this process
// (sd_listen_fds(3)).
func Activated() (*net.UnixListener, error) {
	pid, _ := strconv.Atoi(os.Getenv("LISTEN_PID"))
	if pid != os.Getpid() || os.Getenv("LISTEN_FDS") != "1" {
		return nil, errors.New("there is no socket to serve; it is started by linkseal-broker.socket")
	}
	const first = 3
	f := os.NewFile(first, "linkseal-broker.socket")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the socket of linkseal-broker.socket: %w", err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("the socket of linkseal-broker.socket is %s; accepted: ListenSequentialPacket=", l.Addr().Network())
	}
	u.SetUnlinkOnClose(false) // it is the service manager's
	return u, nil
}

// Serve answers at l with lends until ctx ends. Only who runs as the same user is
// answered. The service manager is told that it lives for as long as it accepts: not
// while as many hang as are served at once.
func Serve(ctx context.Context, l *net.UnixListener, lends map[What]Lend, log *slog.Logger) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	slots := make(chan struct{}, most)
	var all sync.WaitGroup
	defer all.Wait()
	tell := func(state string) {
		if err := sdnotify.Send(state); err != nil {
			log.Warn("the service manager was not told", "error", err)
		}
	}
	every := sdnotify.WatchdogInterval()
	due := time.Now().Add(every)
	tell(sdnotify.Ready)
	for {
		if every > 0 {
			l.SetDeadline(due)
		}
		c, err := l.AcceptUnix()
		if every > 0 && !time.Now().Before(due) {
			tell(sdnotify.Watchdog)
			due = time.Now().Add(every)
		}
		switch {
		case err == nil: // it is answered, whatever has ended meanwhile
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		default:
			return fmt.Errorf("broker: %w", err)
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			if err := serve(c, lends); err != nil {
				log.Warn("a request was not answered", "error", err)
			}
		})
	}
}

// serve answers one request.
func serve(c *net.UnixConn, lends map[What]Lend) error {
	c.SetDeadline(time.Now().Add(idle))
	who, err := peercred.Of(c)
	if err != nil {
		return err
	}
	if int(who.UID) != os.Geteuid() {
		return fmt.Errorf("process %d of user %d asks; only user %d may", who.PID, who.UID, os.Geteuid())
	}
	b := make([]byte, requestLen+1)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	r, err := parseRequest(b[:n])
	if err != nil {
		return err
	}
	reply := answer(r, lends)
	c.SetDeadline(time.Now().Add(idle))
	var rights []byte
	if reply.FD >= 0 {
		defer unix.Close(reply.FD)
		rights = unix.UnixRights(reply.FD)
	}
	_, _, err = c.WriteMsgUnix(reply.append(nil), rights, nil)
	return err
}

func answer(r Request, lends map[What]Lend) Reply {
	lend := lends[r.What]
	if lend == nil {
		return failed(fmt.Errorf("it does not know request %d: %w", r.What, unix.EOPNOTSUPP))
	}
	fd, text, err := lend(r.A, r.B)
	if err != nil {
		return failed(err)
	}
	return Reply{Text: text, FD: fd}
}
