package health_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/linkseal/linkseal/images/health"
)

func TestRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if r, err := health.LoadRecord(dir); r != nil || err != nil {
		t.Errorf("of nothing: %+v, %v", r, err)
	}
	want := health.Record{Version: "2.0", From: "1.0", Slot: "b", Time: time.Unix(1e9, 0).UTC(), Configured: true, Ports: []string{"link1"}, Tunnels: []string{}}
	if err := health.SaveRecord(dir, want); err != nil {
		t.Fatal(err)
	}
	if r, err := health.LoadRecord(dir); err != nil || !cmp.Equal(*r, want) {
		t.Errorf("%v, %v", cmp.Diff(r, &want), err)
	}
	path := filepath.Join(dir, "update.json")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for _, bad := range []string{"", "{", "[]", strings.Repeat(" ", 2<<20)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := health.LoadRecord(dir); err == nil || !strings.Contains(err.Error(), path+": ") {
			t.Errorf("%.5q: %+v, %v", bad, r, err)
		}
	}
}

func TestResults(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		if err := health.AddResult(dir, health.Result{Version: fmt.Sprint(i), Reasons: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := health.Results(dir)
	if err != nil || len(all) != 16 || all[0].Version != "4" || all[15].Version != "19" {
		t.Errorf("%+v, %v", all, err)
	}
	// An install begins anew, of its own version.
	if err := health.SaveRecord(dir, health.Record{Version: "19"}); err != nil {
		t.Fatal(err)
	}
	if all, err := health.Results(dir); err != nil || len(all) != 15 || all[14].Version != "18" {
		t.Errorf("%+v, %v", all, err)
	}
	// What is torn is told, and written over.
	if err := os.WriteFile(filepath.Join(dir, "health.json"), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := health.Results(dir); err == nil {
		t.Error("torn results were read")
	}
	if err := health.AddResult(dir, health.Result{Version: "20"}); err != nil {
		t.Fatal(err)
	}
	if all, err := health.Results(dir); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
