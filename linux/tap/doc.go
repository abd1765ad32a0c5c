// Package tap is access to tap devices as linkseal uses them: persistent, so
// that addresses and routes outlive the daemon, with a virtio-net header before
// each frame, and with a queue for each processor. While no queue is attached
// such a device has no carrier and passes nothing.
//
// It makes the tuns of tunnels too; who attaches to them is their affair.
//
// A tap belongs to the network namespace of the thread that opens
// /dev/net/tun: netns.NS.Do makes or attaches one elsewhere.
package tap
