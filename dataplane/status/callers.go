package status

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"sync"
	"time"

	"github.com/linkseal/linkseal/linux/peercred"
)

// rule says whether a caller may do something.
type rule func(s *server, by peercred.Cred) bool

// rootOrGroup is the rule of the control socket: root, and its group.
func rootOrGroup(s *server, by peercred.Cred) bool { return by.UID == 0 || by.InGroup(s.group) }

// caller is who connected, or why that is not known.
type caller struct {
	peercred.Cred
	err  error
	full string // why the connection has no place
}

type callerKey struct{}

// identify puts a connection's caller into its requests' context.
func identify(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*counted); ok {
		return context.WithValue(ctx, callerKey{}, b.by)
	}
	return ctx
}

func credentials(c net.Conn) (peercred.Cred, error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return peercred.Cred{}, fmt.Errorf("a %T is no unix socket", c)
	}
	return peercred.Of(u)
}

// callerOf is who sent r. Of a connection without an answer to that, nobody.
func callerOf(r *http.Request) caller {
	c, ok := r.Context().Value(callerKey{}).(caller)
	if !ok {
		c.err = fmt.Errorf("the connection has no caller")
	}
	return c
}

// admit applies what the caller may do, and answers for those who may not.
func (s *server) admit(w http.ResponseWriter, r *http.Request, may rule) bool {
	by := callerOf(r)
	if by.err == nil && may(s, by.Cred) {
		return true
	}
	text := fmt.Sprintf("uid %d is neither root nor in group %s; be root, or get into that group and log in anew; `control: {group: NAME}` in the daemon's configuration names another", by.UID, s.groupName)
	if by.err != nil {
		text = fmt.Sprintf("it cannot be told who is asking: %v; look at the daemon's log", by.err)
	}
	if left, ok := s.refusals.Take(time.Now()); ok {
		log := s.Log.With("method", r.Method, "path", r.URL.Path, "not_logged", left)
		if by.err != nil {
			log.Error("the control socket refuses a caller whom it cannot identify", "error", by.err)
		} else {
			log.Warn("the control socket refuses a caller", "uid", by.UID, "gid", by.GID, "pid", by.PID, "group", s.groupName)
		}
	}
	refuse(w, r, http.StatusForbidden, text)
	return false
}

// groupName is how people call a group: netops (990), or 990.
func groupName(id uint32) string {
	number := strconv.FormatUint(uint64(id), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name + " (" + number + ")"
	}
	return number
}

// pause is the least time between two lines of a kind in the log: a caller
// must not be able to fill the disk.
const pause = time.Minute

// Quiet thins lines of a log out that a caller can cause: one a minute. The
// zero Quiet is ready, and may be used from any goroutine.
type Quiet struct {
	mu   sync.Mutex
	last time.Time
	left int
}

// Take reports whether a line may be logged now, and how many were left out
// since the last.
func (q *Quiet) Take(now time.Time) (left int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.last.IsZero() && now.Sub(q.last) < pause {
		q.left++
		return 0, false
	}
	left, q.last, q.left = q.left, now, 0
	return left, true
}
