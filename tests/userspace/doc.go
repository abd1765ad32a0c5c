// Package userspace has the tests of linksealds whose SecYs are in user space,
// against each other, on this machine's own kernel: they need root, network
// namespaces, veth, bridge, tap and BPF, and no MACsec, so that they run where
// the tests run, at full speed, and not in the guest of tests/vm. They print
// what they measure as lines that begin with "figure: ". LINKSEAL_SOAK=1 runs
// them in full length.
//
// They run the linkseal that LINKSEAL_BIN names, else the repository's
// bin/linkseal.
package userspace
