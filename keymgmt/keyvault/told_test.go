package keyvault_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/dataplane/status/metrics"
	"github.com/linkseal/linkseal/dataplane/status/vault"
	"github.com/linkseal/linkseal/keymgmt/keyvault"
	"github.com/linkseal/linkseal/tests/azure"
)

// Everything that befalls a vault is told in three places, in each once for as
// long as it lasts, however many polls see it: in the log, in the status and in
// the metrics; and it is in the last two no more when it is over.
func TestToldOnce(t *testing.T) {
	all := keyvault.Scenarios()
	if len(all) != 24 {
		t.Errorf("%d scenarios", len(all))
	}
	for _, sc := range all {
		t.Run(sc.Name(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { toldOnce(t, sc) })
		})
	}
}

func toldOnce(t *testing.T, sc keyvault.Scenario) {
	c, client := keyvault.InMemory(t, azure.Options{})
	keyvault.Put(c, "a", 1, azure.Attributes{})
	log, logger := keyvault.NewJournal()
	s := keyvault.NewSource("link1", time.Hour, client, logger)
	ctx, stop := context.WithCancel(t.Context())
	tokens := s.Watch(ctx)
	<-tokens
	synctest.Wait()
	if got := seen(t, s); len(got.lasting)+len(got.begun)+len(got.text) > 0 {
		t.Errorf("before it: %+v", got)
	}
	total := map[string]int{} // faults that there have been, by kind
	for episode := 1; episode <= 2; episode++ {
		end := sc.Begin(c)
		// What is in use is not read again, so that it takes a new pair to see
		// wrong values.
		keyvault.Put(c, fmt.Sprint("new", episode), byte(10*episode), azure.Attributes{})
		for range 12 { // longer than a token lasts
			s.Poll()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
		}
		got := seen(t, s)
		once := got.status
		// Each pair may be refused; a failure is one, whatever it hits.
		if n := once[string(sc.Kind())]; sc.Kind() == "" && len(once) > 0 || sc.Kind() != "" && (n < 1 || n > 1+episode) {
			t.Errorf("episode %d: faults %v, want %q", episode, once, sc.Kind())
		}
		if (got.polls < 5) != (sc.Kind() == "") {
			t.Errorf("episode %d: %d polls saw it: that it is told once means nothing", episode, got.polls)
		}
		logged := map[string]int{}
		for kind, n := range once {
			total[kind] += n
		}
		for kind := range total {
			logged[kind] = log.Count("fault="+kind+" ", "stay in use")
		}
		for what, d := range map[string]string{
			"in the log":            cmp.Diff(total, logged),
			"began, by the counter": cmp.Diff(total, got.begun),
			"lasts, by the metric":  cmp.Diff(once, got.lasting),
			"in the status's text":  cmp.Diff(once, got.text),
		} {
			if d != "" {
				t.Errorf("episode %d: %s (-want +got):\n%s", episode, what, d)
			}
		}
		end()
		s.Poll()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := seen(t, s); len(got.lasting)+len(got.status)+len(got.text) > 0 || !cmp.Equal(got.begun, total) {
			t.Errorf("episode %d is over: %+v", episode, got)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	stop()
	for range tokens {
	}
	client.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// sight is what is seen of a source, counts by kind of fault; 0 is left out.
type sight struct {
	lasting, begun map[string]int // the metrics
	status, text   map[string]int
	polls          uint64 // that saw the fault that has lasted the longest
}

func seen(t *testing.T, s *keyvault.Source) sight {
	t.Helper()
	k := status.Keychain{Name: "link1", Source: "azure-key-vault", Vault: vault.Of(s.Report())}
	document := status.Status{Keychains: []status.Keychain{k}}
	document.Fill()
	out := sight{lasting: map[string]int{}, begun: map[string]int{}, status: map[string]int{}, text: map[string]int{}}
	for _, f := range k.Vault.Faults {
		out.status[f.Kind]++
		out.polls = max(out.polls, f.Polls)
	}
	var text strings.Builder
	if err := document.Write(&text, time.Now()); err != nil {
		t.Fatal(err)
	}
	collector := &metrics.Collector{Read: func() status.Status { return document }, Now: time.Now}
	const lasting, begun = "linkseal_keychain_fault", "linkseal_keychain_faults_total"
	page, err := testutil.CollectAndFormat(collector, expfmt.TypeTextPlain, lasting, begun)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range keyvault.Kinds() {
		in := map[string]map[string]int{lasting: out.lasting, begun: out.begun}
		for name, counts := range in {
			series := fmt.Sprintf("\n%s{keychain=\"link1\",kind=%q} ", name, kind)
			_, rest, ok := strings.Cut(string(page), series)
			value, _, _ := strings.Cut(rest, "\n")
			n, err := strconv.Atoi(value)
			if !ok || err != nil {
				t.Fatalf("no %s in\n%s", series, page)
			}
			if n > 0 {
				counts[string(kind)] = n
			}
		}
		for line := range strings.Lines(text.String()) {
			if fault, ok := strings.CutPrefix(strings.TrimSpace(line), "fault "); ok && strings.HasPrefix(strings.TrimSpace(fault), strings.ReplaceAll(string(kind), "_", " ")+" for ") {
				out.text[string(kind)]++
			}
		}
	}
	return out
}
