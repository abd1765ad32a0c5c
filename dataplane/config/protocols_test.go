package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/bpf"
)

// What a port may allow is what the filter can let through.
func TestProtocols(t *testing.T) {
	var want []string
	for _, p := range bpf.Protocols() {
		want = append(want, string(p))
	}
	if d := cmp.Diff(want, Protocols()); d != "" {
		t.Error(d)
	}
}
