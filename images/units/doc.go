// Package units is the units of systemd that the Debian package installs, and their
// tests: how much they are exposed, and that nothing in them takes away what protects.
package units
