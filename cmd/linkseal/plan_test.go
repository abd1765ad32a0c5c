package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/linkseal/linkseal/dataplane/plan"
)

func TestPlanDocument(t *testing.T) {
	steps := []plan.Step{{Kind: plan.SetUp, Port: "link1", Link: "eth1"}}
	problems := []plan.Problem{{Port: "link1", Cause: "no", Remedy: "yes"}}
	for name, c := range map[string]struct {
		d              planDocument
		status         int
		stdout, stderr string
		steps          int
	}{
		"nothing": {planDocument{}, 0, "", "", 0},
		"changes": {planDocument{Steps: steps}, 2, "set eth1 up\n", "", 1},
		"problem": {planDocument{Steps: steps, Problems: problems}, 1, "set eth1 up\n", "linkseal: port link1: no; yes\n", 1},
	} {
		for _, asJSON := range []bool{false, true} {
			var stdout, stderr bytes.Buffer
			err := c.d.print(&stdout, &stderr, asJSON)
			status := 0
			var exit *exitError
			if errors.As(err, &exit) {
				status = exit.status
			} else if err != nil {
				t.Fatal(err)
			}
			if status != c.status {
				t.Errorf("%s: exit status %d, want %d", name, status, c.status)
			}
			if !asJSON {
				if stdout.String() != c.stdout || stderr.String() != c.stderr {
					t.Errorf("%s: stdout %q, stderr %q", name, stdout.String(), stderr.String())
				}
				continue
			}
			var d map[string][]any
			if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
				t.Fatal(err)
			}
			if d["steps"] == nil || d["problems"] == nil || len(d["steps"]) != c.steps || len(d["problems"]) != len(c.d.Problems) {
				t.Errorf("%s: %s", name, stdout.String())
			}
		}
	}
}
