package status

import (
	"strings"

	"github.com/linkseal/linkseal/keymgmt/secret/erase"
	"github.com/linkseal/linkseal/keymgmt/secret/locked"
)

// Memory says how the daemon's memory keeps keys.
type Memory struct {
	// Locked: key octets are in pages that are not swapped out, dumped or
	// copied to children.
	Locked bool `json:"locked"`
	// Erased: what handling keys leaves on stacks, in registers and in
	// garbage is erased.
	Erased bool `json:"erased"`
	// Problem says what is missing, and what to do about it.
	Problem string `json:"problem,omitempty"`
}

// ReadMemory is this process's.
func ReadMemory() *Memory {
	err := locked.Check()
	m := &Memory{Locked: err == nil, Erased: erase.Enabled}
	var problems []string
	if err != nil {
		problems = append(problems, err.Error())
	}
	if !m.Erased {
		problems = append(problems, "traces of keys stay on stacks and in garbage: this linkseal was built without GOEXPERIMENT=runtimesecret; build it with make")
	}
	m.Problem = strings.Join(problems, "; ")
	return m
}
