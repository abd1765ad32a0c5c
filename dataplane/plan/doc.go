// Package plan says what to change on a machine so that its MACsec ports are
// as configured. It is pure: Desired and Observed in, ordered Steps out. It
// reads no clock and touches no kernel; package dataplane/reconcile observes
// and applies.
//
// Order is safety. Enforcement goes in before anything else and leaves last,
// so that at no point between two steps could a frame pass in clear on a
// must-secure port where it could not before:
//
//  1. the filter on the parent of every must-secure port, and on the device of every
//     must-secure tunnel, and the Fence around what tunnels protect;
//  2. the parent bare: addresses removed, IPv6 off (no autoconfiguration);
//  3. devices of ports that go, or that must be made anew, deleted;
//  4. for each port: live parameters put right, parent up, device made
//     (dormant, protect on, validate strict), MAC address, MTU, addresses, what
//     counts and tags its frames, up;
//  5. filters and the fence, where nothing must be secure any more, removed.
//
// A plan is idempotent: applied in full, the next one is empty. Applied in
// part, the next one is the rest.
//
// # Where the SecY runs
//
// Capabilities.Choose says it of a port: in the kernel, where the device is a
// MACsec device on the parent, or in user space, where it is a persistent tap
// that stands on nothing. A tap has no carrier while no daemon has it open: a
// dead daemon passes nothing. Cipher, SCI and the other parameters of MACsec
// are the daemon's there, so that a change of them, or of the parent, makes no
// step on a tap, but that its MAC address is the parent's. A port that goes
// from one to the other gets a new device.
//
// # Whose device it is
//
// linkseal deletes only devices that it made. It knows them by the interface
// alias, "linkseal:" and the port's name, set on the device itself: unlike a
// note in the state directory it dies with the device, cannot go stale when
// an index or a name is used again, outlives a lost state directory and is
// seen by an operator in `ip link`. The alias cannot be set in the message
// that makes the device, nor by the ioctl that makes a tap: it is made as
// UnfinishedName and gets name and alias
// together, last. A device of that name is what a daemon left that was killed
// in between.
//
// What a port's removal leaves behind: the parent stays up, without addresses
// and with IPv6 off. They were not linkseal's to keep, and to guess them back
// could send in clear what must not be.
package plan
