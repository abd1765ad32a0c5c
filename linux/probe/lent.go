package probe

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/linkseal/linkseal/linux/broker"
)

// lent is a Result on its way. Features have other numbers in other versions.
type lent struct {
	ID string
	Result
}

// Ask is Check, by the broker if there is one: who may make no network namespace can
// try nothing in it. The Result is Unknown where the broker tried nothing either.
func (f Feature) Ask() Result {
	if !broker.Configured() {
		return f.Check()
	}
	var l lent
	fd, text, err := broker.Ask(broker.Request{What: broker.Trial, A: uint32(f)})
	if fd >= 0 {
		unix.Close(fd) // no trial has one
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &l)
	}
	if err == nil && l.ID != f.ID() {
		err = errors.New("linkseal's broker is of another version; systemctl restart linkseal-broker")
	}
	if err != nil {
		return Result{Unknown: true, Detail: fmt.Sprintf("not known: %v", err), Remedy: "have linkseal-broker.service run"}
	}
	return l.Result
}

// Lend is broker.Lend of broker.Trial.
func Lend(f, _ uint32) (fd int, text string, err error) {
	if f >= uint32(featureCount) {
		return -1, "", fmt.Errorf("feature %d: there are %d: %w", f, featureCount, unix.EINVAL)
	}
	b, err := json.Marshal(lent{Feature(f).ID(), Feature(f).Check()})
	return -1, string(b), err
}
