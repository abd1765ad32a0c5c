package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/linkseal/linkseal/tests/vm"
	"github.com/linkseal/linkseal/tests/vm/wire"
)

// hidden are directories in which the guest has its own files.
var hidden = []string{"/run", "/dev", "/proc", "/sys"}

// job makes a job of a command line, to run in this directory. The program is
// looked up here: the guest has the same files.
func job(o *options, args []string) (wire.Job, error) {
	dir, err := os.Getwd()
	if err != nil {
		return wire.Job{}, err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return wire.Job{}, err
	}
	if program, err = filepath.Abs(program); err != nil {
		return wire.Job{}, err
	}
	for _, path := range []string{dir, program} {
		for _, h := range hidden {
			if strings.HasPrefix(path, h+"/") {
				return wire.Job{}, fmt.Errorf("%s: the guest cannot see what is in %s; put it elsewhere", path, h)
			}
		}
	}
	return wire.Job{
		Args: append([]string{program}, args[1:]...),
		Dir:  dir,
		Env:  environment(o),
	}, nil
}

// environment is what the guest's commands get: little, so that they do not
// depend on the host's shell.
func environment(o *options) []string {
	env := []string{
		"HOME=/root", "TMPDIR=/tmp", "LANG=C.UTF-8",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "LINKSEAL_") || strings.HasPrefix(kv, "NO_COLOR=") {
			env = append(env, kv)
		}
	}
	for _, p := range o.env {
		if name, _, ok := strings.Cut(p, "="); ok {
			env = append(env, p)
		} else if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	if o.steady {
		env = append(env, "LINKSEAL_STEADY=1")
	}
	return append(env, vm.GuestEnv+"=1")
}
