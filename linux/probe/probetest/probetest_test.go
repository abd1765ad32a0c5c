package probetest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/linkseal/linkseal/linux/probe"
)

// recorder is a testing.TB that notes how a test would have ended.
type recorder struct {
	testing.TB
	end, text string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.stop("fatal", format, args) }
func (r *recorder) Skipf(format string, args ...any)  { r.stop("skip", format, args) }

func (r *recorder) stop(end, format string, args []any) {
	r.end, r.text = end, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func outcome(f func(testing.TB)) *recorder {
	r := &recorder{end: "ran"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func with(t *testing.T, f probe.Feature, res probe.Result) {
	saved, had := results.Load(f)
	results.Store(f, func() probe.Result { return res })
	t.Cleanup(func() {
		results.Delete(f)
		if had {
			results.Store(f, saved)
		}
	})
}

func TestNeed(t *testing.T) {
	// A TPM never is on every kernel, so that its absence always skips.
	with(t, probe.AFPacket, probe.Result{OK: true})
	with(t, probe.TPM, probe.Result{Detail: "no chip", Remedy: "buy one"})
	for _, c := range []struct {
		name, guest string
		need        []probe.Feature
		want        string
	}{
		{"present", "", []probe.Feature{probe.AFPacket}, "ran"},
		{"absent on the host", "", []probe.Feature{probe.AFPacket, probe.TPM}, "skip"},
		{"present in the guest", "1", []probe.Feature{probe.AFPacket}, "ran"},
		{"absent in the guest", "1", []probe.Feature{probe.TPM}, "fatal"},
	} {
		t.Setenv(GuestEnv, c.guest)
		got := outcome(func(tb testing.TB) { Need(tb, c.need...) })
		if got.end != c.want {
			t.Errorf("%s: %s (%s); want %s", c.name, got.end, got.text, c.want)
		}
		if c.want != "ran" && !strings.Contains(got.text, "no chip; buy one") {
			t.Errorf("%s: %q does not give reason and remedy", c.name, got.text)
		}
	}
}

func TestNeedTool(t *testing.T) {
	const missing = "linkseal-no-such-tool"
	t.Setenv(GuestEnv, "")
	if got := outcome(func(tb testing.TB) { NeedTool(tb, missing) }); got.end != "skip" || !strings.Contains(got.text, missing) {
		t.Errorf("on the host: %s (%s)", got.end, got.text)
	}
	t.Setenv(GuestEnv, "1")
	if got := outcome(func(tb testing.TB) { NeedTool(tb, missing) }); got.end != "fatal" {
		t.Errorf("in the guest: %s (%s)", got.end, got.text)
	}
	if got := outcome(func(tb testing.TB) { NeedTool(tb, "sh") }); got.end != "ran" {
		t.Errorf("sh: %s (%s)", got.end, got.text)
	}
}
