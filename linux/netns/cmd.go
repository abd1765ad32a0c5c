package netns

import (
	"context"
	"os/exec"
)

// Cmd is an exec.Cmd whose process starts inside a network namespace, and in
// the caller's mount namespace.
type Cmd struct {
	*exec.Cmd
	ns *NS
}

// Command is exec.Command inside n.
func (n *NS) Command(name string, arg ...string) *Cmd {
	return &Cmd{Cmd: exec.Command(name, arg...), ns: n}
}

// CommandContext is exec.CommandContext inside n.
func (n *NS) CommandContext(ctx context.Context, name string, arg ...string) *Cmd {
	return &Cmd{Cmd: exec.CommandContext(ctx, name, arg...), ns: n}
}

// Start starts the process. SysProcAttr.Pdeathsig does not go with it: the
// signal follows the thread that started the process, not this one.
func (c *Cmd) Start() error { return c.ns.Do(c.Cmd.Start) }

// Run starts the process and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output is exec.Cmd.Output inside the namespace.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.ns.Do(func() (err error) { out, err = c.Cmd.Output(); return err })
	return out, err
}

// CombinedOutput is exec.Cmd.CombinedOutput inside the namespace.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.ns.Do(func() (err error) { out, err = c.Cmd.CombinedOutput(); return err })
	return out, err
}
