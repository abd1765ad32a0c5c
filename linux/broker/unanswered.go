package broker

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrUnanswered is a broker that is not there, does not answer, or answers others
// alone. It says nothing of what was asked for, and is no number of the kernel's:
// that the broker's socket is missing is not that a BPF map or a TPM is.
var ErrUnanswered = errors.New("linkseal's broker did not answer")

// unanswered is ErrUnanswered with its cause, which is text for that reason.
type unanswered struct{ path, cause string }

func (u *unanswered) Error() string {
	return fmt.Sprintf("%v at %s: %s; have linkseal-broker.service run, or: systemctl restart linkseal-broker", ErrUnanswered, u.path, u.cause)
}

func (u *unanswered) Is(target error) bool { return target == ErrUnanswered }

// respite is how long a broker that took longer than it may is not asked again. Who
// asks has other things to do, and asks one thing after another.
const respite = 5 * time.Second

// topic is what a broker can be silent on: on what takes long, or, with What 0, on all.
type topic struct {
	path string
	what What
}

type silence struct{ since, until time.Time }

var silent sync.Map // silence by topic

// timedOut notes that the topic was asked in vain for as long as that.
func (t topic) timedOut(limit time.Duration) error {
	now := time.Now()
	silent.Store(t, silence{now.Add(-limit), now.Add(respite)})
	return &unanswered{t.path, fmt.Sprintf("it took longer than %s", limit)}
}

// quiet is nil if the topic may be asked.
func (t topic) quiet() error {
	found, _ := silent.Load(t)
	s, ok := found.(silence)
	if !ok {
		return nil
	}
	if time.Now().Before(s.until) {
		return &unanswered{t.path, "not since " + s.since.UTC().Format(time.RFC3339)}
	}
	silent.CompareAndDelete(t, found)
	return nil
}
