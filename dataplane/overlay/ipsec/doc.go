// Package ipsec runs tunnels of IPsec through strongSwan's charon, which speaks
// IKEv2 and gives the kernel its SAs, or does ESP itself in user space.
//
// Charon is linkseal's own process, with a configuration of its own and no file
// of swanctl's: all that it has it is told over vici. It is not ended with
// linkseal; the next linkseal adopts it, with all that is established. What it
// tells in its log goes to linkseal's, and keys are not in it: vici has no more
// than level 1, and those are at level 4.
//
// A Session is one tunnel: it loads a connection a member, starts them, watches
// them, and starts them again.
//
// After a kill -9 of charon its SAs and policies stay in the kernel (charon 5.9
// flushes nothing when it starts): what is protected goes on under them for as
// long as the peer has them, and is dropped after that, never sent in clear. The
// next charon does not say INITIAL_CONTACT as long as they are there, on which the
// peer would drop the old ones before there are new; policies are replaced in
// place. The Session takes away what is left of the old SAs when the new ones are
// there; the peer does so when its DPD is not answered.
//
// # Keys
//
// A PSK is given to charon over a socket of its own, out of locked pages that are
// zeroed. Charon keeps it in its own memory for as long as it is loaded.
package ipsec
