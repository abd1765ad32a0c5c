package brokertest

import (
	"errors"
	"os"
	"testing"

	"github.com/linkseal/linkseal/linux/broker"
)

// It answers until it is stopped, which may be more than once.
func TestServe(t *testing.T) {
	var path string
	t.Run("inner", func(t *testing.T) {
		var stop func()
		path, stop = Serve(t, map[broker.What]broker.Lend{broker.MapExists: func(id, _ uint32) (int, string, error) {
			if id != 7 {
				return -1, "", os.ErrNotExist
			}
			return -1, "there", nil
		}})
		t.Setenv(broker.Variable, path)
		if _, text, err := broker.Ask(broker.Request{What: broker.MapExists, A: 7}); text != "there" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		stop()
		stop()
		if _, _, err := broker.Ask(broker.Request{What: broker.MapExists, A: 7}); !errors.Is(err, broker.ErrUnanswered) {
			t.Errorf("after its end: %v", err)
		}
	})
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket stays: %v", err)
	}
}
