// Package health says whether a version that was installed holds: after its first
// boots, within a bounded time, the root is verified, /var can be written, no unit has
// failed that had not when it was installed, systemd-networkd and the packet filter
// are active, and SSH if it was, the daemon answers, and what was secured before the
// update is secured again. It keeps what was before, and what it found, in the state
// of the image, where both slots read it.
package health
