package nft

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A change of the fence is told, whoever makes it; one of another table is not.
func TestWatch(t *testing.T) {
	ns, h := namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	tokens, err := h.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	told := func(what string) {
		t.Helper()
		select {
		case <-tokens:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s is not told", what)
		}
	}
	nft(t, ns, strings.Fields("add table inet other")...)
	select {
	case <-tokens:
		t.Error("a table of somebody else is told")
	case <-time.After(50 * time.Millisecond):
	}
	if err := h.SetFence(Fence{Protect: prefixesOf("10.20.0.0/16")}); err != nil {
		t.Fatal(err)
	}
	told("a fence")
	for _, cut := range []string{"delete element inet linkseal-fence protect { 10.20.0.0/16 }", "flush chain inet linkseal-fence leave1", "flush ruleset"} {
		for len(tokens) > 0 {
			<-tokens
		}
		nft(t, ns, strings.Fields(cut)...)
		told(cut)
	}
	cancel()
	for range tokens {
	}
}
