package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/linkseal/linkseal/keymgmt/keyvault"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == keyvault.HelperVerb {
		os.Exit(keyvault.ServeHelper(os.Stdin, os.Stdout)) // this binary is the helper of its own tests
	}
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
