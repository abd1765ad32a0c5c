package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Verb runs linkseal with other arguments in the appliance's namespace. A
// status other than 0 is no error here.
func (a *Appliance) Verb(ctx context.Context, args ...string) (stdout, stderr string, status int, err error) {
	cmd := a.NS.CommandContext(ctx, a.binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), a.env...)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		status, err = exit.ExitCode(), nil
	}
	if err != nil {
		err = fmt.Errorf("linkseal %v at %s: %w", args, a.Name, err)
	}
	return out.String(), errs.String(), status, err
}
