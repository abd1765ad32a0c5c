package provision

import "errors"

// Activate has what was installed take effect: the daemon starts, the firewall and
// networkd read it, SSH starts. run runs systemctl; it waits for none of them, for
// at boot they wait for the caller. What fails is told and keeps nothing else.
func Activate(run func(args ...string) error) error {
	var all error
	for _, args := range [][]string{
		{"--no-block", "restart", "linkseal.service"},
		{"--no-block", "restart", "linkseal-firewall.service"},
		{"--no-block", "try-reload-or-restart", "systemd-networkd.service"},
		{"--no-block", "start", "ssh.service"},
	} {
		all = errors.Join(all, run(args...))
	}
	return all
}
