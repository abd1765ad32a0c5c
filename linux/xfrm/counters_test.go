package xfrm

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const text = "XfrmInError             \t0\nXfrmInNoStates          \t3\nXfrmInStateSeqError     \t4\nXfrmOutNoStates         \t5\nXfrmFwdHdrError         \t100\nXfrmAcquireError        \t1\n"
	if c, err := parse([]byte(text)); err != nil {
		t.Error(err)
	} else if d := cmp.Diff(Counters{RxErrors: 8, TxErrors: 5, By: map[string]uint64{"XfrmInNoStates": 3, "XfrmInStateSeqError": 4, "XfrmOutNoStates": 5, "XfrmAcquireError": 1}}, c); d != "" {
		t.Error(d)
	}
	if c, err := parse(nil); err != nil || c.By != nil || c.RxErrors+c.TxErrors != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"XfrmInError", "XfrmInError 1 2", "XfrmInError -1", "XfrmInError x"} {
		if _, err := parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), "XfrmInError") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The kernel's own table can be read, where it has one.
func TestRead(t *testing.T) {
	_, err := Read()
	if _, there := os.Stat("/proc/self/net/xfrm_stat"); there != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without a table: %v", err)
		}
		return
	}
	if err != nil {
		t.Error(err)
	}
}
