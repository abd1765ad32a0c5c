// Package tunnels has the tests of what befalls tunnels between two linksealds,
// one behaviour over the kernel's and over those in user space: nothing of what
// is protected is in clear on the underlay, and no change loses a packet.
// tests/userspace runs them natively, tests/interop in the guest. They print
// what they measure as lines that begin with "figure: ".
package tunnels
