// Package interop has the tests of linkseal against real peers on a real
// kernel: another linkseal, and wpa_supplicant 2.10 with its macsec_linux
// driver. They run in the guest of tests/vm, where every timing is only good
// as a ratio to another of the same boot, and print what they measure as lines
// that begin with "figure: ". LINKSEAL_SOAK=1 runs them in full length.
//
// They run the linkseal that LINKSEAL_BIN names, else the repository's
// bin/linkseal.
package interop
