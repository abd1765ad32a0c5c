// Package wireguard is a tunnel of WireGuard: the kernel's, set through wgctrl,
// or one in this process, golang.zx2c4.com/wireguard on the persistent tun that
// the reconciler made. Both do the same; the differences are these:
//
//   - The kernel's goes on when the process ends, however it ends, and Open
//     adopts it: it changes what differs and touches no session. The other's
//     sessions end with the process. Its tun stays, without carrier.
//   - In the process a handshake is begun when one is wanted. The kernel begins
//     one when its session is 120 s old, or when there is none, so that a change
//     of PSK takes that long to be proved (package rollover).
//   - The kernel does not say that an answer did not verify; the other does, and
//     the View has it.
//
// # A second device
//
// While a member's PSK changes and the other end is not as far, a second device
// of WireGuard is open in this process, on the port Count above the member's
// own. It has no interface and carries no traffic. A handshake under the new PSK
// on it tells both ends that both have it, and then both put it into the
// member's own device, whose session lives on. So nothing is routed anew and no
// frame is lost; see rollover.
//
// # Where packets leave from
//
// From the tunnel's local, whichever address routing would choose. WireGuard has no
// such setting: see source.
//
// # Where keys are
//
// PSKs and the private key are secret.Keys, in locked pages; to WireGuard they
// are handed in messages that are zeroed at once, inside erase.Do. What stays:
// the kernel's copies, which root can read; in this process the private key and
// each peer's PSK in wireguard-go's structures, and its sessions' keys, on the
// heap, for as long as a device has them. Close overwrites the first two before
// it lets go of them. The text between, of hex digits, wireguard-go keeps as
// strings and in a pool of buffers until they are collected; those that Go
// allotted in erase.Do are then zeroed, and a buffer that has been read is
// overwritten. Its log, which has no keys, goes to ours at debug.
package wireguard
