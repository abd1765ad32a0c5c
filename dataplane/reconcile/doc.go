// Package reconcile makes the machine as the configuration says and keeps it
// so: observe, plan, apply, report; again when links change, when keys
// change, after a reload, and every half minute; with backoff while something
// fails.
//
// It owns the shell of every SecY: the MACsec device, its parameters and
// addresses, the parent under it and the enforcement around it. The SAs in it
// are the KaY's (package keymgmt/kay), of which it runs one a port, from when
// the port's device exists until it goes. The Controlled Port, with the link
// mode and in should-secure the parameters that open and close it, is moved
// by the KaY through dataplane/secy.
//
// Where each port's SecY runs, in the kernel or in user space, is chosen at the
// start and at a reload; a port that runs stays where it is. In user space the
// shell is a tap, and the SecY behind it is the session's, with its parameters.
//
// A port that fails stays closed and is tried again; others are not held up.
// Ending leaves everything in place: filters, devices, SAs in the kernel.
package reconcile
