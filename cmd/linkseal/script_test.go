package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"linkseal": main})
}

// TestScripts runs the verbs as a user does: testdata/script/*.txtar. They
// find the captures of dataplane/inspect in $CAPTURES.
func TestScripts(t *testing.T) {
	captures, err := filepath.Abs("../../dataplane/inspect/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("CAPTURES", captures)
			return nil
		},
	})
}
