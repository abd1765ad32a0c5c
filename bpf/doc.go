// Package bpf keeps a port with `secure: must` closed: its filter lets through
// MACsec frames, the configured EAPOL and the named clear protocols, in both
// directions, and drops and counts everything else, VLAN tags in clear
// included.
//
// # Hooks
//
// Ingress is XDP, in the driver (Native) where it can, else in the stack
// (Generic); both are before packet sockets, tc, bridges and the IP stack. The
// program takes frames in pieces, so that it does not limit the MTU. Where the
// kernel refuses both, ingress is by tc, as egress is. Egress is
// TCX where the kernel has it (6.6), else a cls_bpf filter of the clsact qdisc.
// Ours is the first there, and leaves what it passes to the others.
//
// # Ingress by tc
//
// The kernel refuses XDP on a port while a device upon it, a macvlan, a VLAN or
// its MACsec device, has an XDP program of its own, and on a member of a bond. (It
// then neither changes nor removes what is in XDP already: Attach and Detach say
// so, and what is there stays.) Somebody else's program in the port's own XDP hook
// is no such case: it could pass frames on past tc, and is a ForeignError.
//
// The IP stack, bridges, MACsec and devices upon the port are behind ingress by tc.
// Before it are packet sockets for all protocols, as tcpdump has: they hear what is
// dropped, and no more. The packet socket of a SecY in user space is one; it has
// that in place of AF_XDP, since tc hands nothing to sockets. EAPOL's socket is for
// its EtherType, behind the program and the limit.
//
// GRO is off meanwhile: it is before tc, and what it joins it may give away, as it
// does ESP of an SA of this host. State.Joins tells that somebody has set it on
// again. The first tag of a frame is beside it there: it is judged and counted as
// in XDP, but an event does not show it.
//
// Lift takes ingress back to XDP. Whichever way it moves, the new program is there
// before the old one goes, and a frame that meets both counts twice.
//
// # How long it stands
//
// Nothing is pinned and there is no BPF link: both programs are held by the
// device itself (XDP by IFLA_XDP, TCX by BPF_PROG_ATTACH, cls_bpf by the
// qdisc), and hold the maps. So they outlive the process that attached them, as
// pinned links and maps would: a kill, an upgrade and a reload leave no open moment.
// And they outlive the mount namespace it had, as pins would not: under `ip netns
// exec` /sys/fs/bpf is a mount of that command's own and pins go with it; nor is there
// one in every container. Pins keep nothing from root either, who can unlink them as
// he can detach what a device holds, and cls_bpf has no link. The guard and tags are
// held the same way, by the root of the cgroups and by the MACsec device. The
// programs end with the device, with Detach, or by the hand of an administrator (`ip
// link set DEV xdp off`, `tc qdisc del`, `bpftool net detach`); and a device that is moved to another network
// namespace leaves a clsact qdisc behind. Observe tells. There is no trace to
// clean up after a removed device.
//
// A later process finds the programs by the device, the maps by the programs:
// settings (read-only since before the program was loaded), counters, and what
// is for sockets. What a program is never changes, and is read once for its id;
// which is attached is asked each time, and nothing is held open between. That takes CAP_SYS_ADMIN; attaching takes CAP_BPF and CAP_NET_ADMIN besides.
//
// # Changes
//
// A change of settings loads new programs and puts each in the place of the
// old in one step; counters go on and sockets stay. Egress is closed first and
// opened last. A filter of another version of linkseal is seen to let through
// other than what is wanted, and is replaced the same way; its counters are not
// read, and those of the new one begin at 0.
//
// # What a frame costs
//
// A call costs more than all that is done between two of them, and a hash is
// several. So what a frame usually needs is in per-CPU arrays, which are looked
// in without a call (Linux 6.10): the SCs and circuits that a CPU has seen last,
// with hashes behind them. Nor is the length of a frame in one piece asked for
// (6.2), nor a socket that is not there. BenchmarkCost and BenchmarkLive print
// what is left; the verifier's work is in testdata/verifier.txt.
//
// # Sockets
//
// A SecY in user space takes the port's MACsec frames from AF_XDP sockets, one
// for each RX queue: Sockets puts them into a map that the ingress program looks
// in after it has judged and counted the frame. The map is empty by itself, and
// the kernel's SecY has all. A kernel without AF_XDP gets an ingress program
// without the map. What such a SecY transmits by AF_XDP no egress hook sees; it
// counts it itself, in memory that it shares with the filter's counters. Both
// programs hold both maps, so that one direction can go and come back.
//
// # Keys
//
// MACsec frames are counted by SCI and AN, and ANs are used again: SAs gives
// each key a counter of its own, by number, before its SA is installed. User
// space alone says which counter is which key's, in a map that stands as long as
// the programs do. Frames of an SA that has none, and those that are cut within the
// SecTAG, are nobody's, and counted too: all keys and nobody are as many as the
// verdict's counter says. A key's counter is used again when 4095 others have been,
// or have an SA.
//
// That a port was found open, by Attach or by Guard, is written down there too: Opened
// tells, and Split has each key begin a counter anew.
//
// A frame that is in the program while its key ends is counted a moment later.
// Octets are those of the frame on the wire, as far as its hook can tell; when it
// was is known to a jiffy, and is early by as long as the machine has slept since.
// Which PN is the highest is known where fewer than 2^31 go by in 1000 jiffies; how
// many are missing is an estimate, modulo 2^32. On ingress both are what the wire
// says.
//
// By circuit are counted the frames of SAs that have a counter: an entry, of which
// there are some 5000, stays as long as the programs do. Tags that come with no
// key of ours are the rest. Who copies an SCI and AN from the wire can still make
// entries.
//
// # EAPOL
//
// Limit names the CKNs of the port and who was heard under them. What is not
// from one of these has a budget: 10 frames a second for all that is under no
// CKN of ours; under these, 4000 from new addresses and 4000 from known ones
// with a new MI, each in 256 parts by a hash of address and MI, with bursts of
// 20. An address that is known under one CKN is under all. So a peer that starts,
// restarts or rotates is heard, also while user space is away, and also while
// somebody who knows addresses and CKNs, which are in clear, sends 2000 a second
// that are invented (TestGenuineUnderFlood). MKA takes what may pass. More than
// that ends in XDP, with it most hellos of a peer that is new: one in some 30 of
// them passes at 100,000 a second (TestLiveUnderFlood). Known peers' all pass; so
// do copies: it is the ICV that tells them.
//
// # Events
//
// The first frame that is dropped in a direction and for a reason is told to
// Events with its head, at most one in 100 ms; the counters have how many there
// were. When the ring had no room for one, all kinds are told of again.
//
// # The gate
//
// A Gate is a program of its own, in the egress of the MACsec device and of the
// port under it, for the moment in which the encoding SA changes. Neither
// judges frames; see Gate.
//
// # Tags
//
// On a port's MACsec device or tap, where frames are in clear, programs of their
// own count them by circuit and by class and tag them (AttachTags). They drop
// nothing. They are held as the port's are, by the device itself, on both its
// sides; with the gate they share its egress, in any order. The rules are
// constants of the programs, so that a change of rules is one of programs: a
// frame meets the old ones or the new, in each direction.
//
// What a super-packet counts as is what it becomes on the wire, on the port too
// and with the tag that the NIC is to insert. Of one that comes in with
// a tunnel inside, whose segments have inner headers too, that is too little.
//
// # The guard
//
// Guard refuses sockets, in the network namespace of a must-secure port, what
// would transmit past tc, when they ask for it: a program for setsockopt at the
// root of the cgroups, held by that as the filter is by the device. Only sockets
// that a SecY has Admitted transmit by AF_XDP. What it guards ends with the filter:
// whoever changes the guard next sweeps out what is of devices that have gone. The
// lock is a file that root alone can open, and is waited for a second at most.
// In a cgroup namespace it is at the root of that, and ErrPartial says so.
//
// # A tunnel's underlay
//
// With Filter.Underlay and CountOnly, what is from or to a protected prefix is
// dropped (Protected), IPv4 and IPv6, behind up to two tags, each fragment by its
// addresses; the tunnel's own flows pass (Tunnel), each counted by itself and
// direction; other packets pass (Clear). One level of IP in IP, GRE and 6in4 in
// clear is looked into. So passes what is known to hold no IP: ARP, LLDP, EAPOL, the
// slow protocols, PTP, CFM, loopback tests and spanning tree; and what
// Filter.Allow names (Allowed). Neighbour discovery passes, of and for protected
// addresses too, where its destination is none of these.
//
// What cannot be told is dropped as if it were protected: all of IP before a set
// of prefixes has been written; three tags, and all EtherTypes but these; cut
// headers, more than 8 extension headers or options, source routes; in a packet
// that is in another, what may have one more in it, AH, and options or extension
// headers but that of a fragment; L2TP, IPComp and what else may have IP in it;
// later fragments of an encapsulation.
//
// Later fragments have no ports and no SPI: they are a tunnel's only where ESP
// passes by its addresses (AnySPI), and else dropped where its far end is in a
// protected prefix: whoever may send UDP to there could else have all but the
// first fragment of it in clear. A tunnel's packets are to fit the path: its MTU is
// that of the underlay less what is added, or set by hand to less, and IKE takes
// its own messages apart (RFC 7383).
//
// A tunnel in UDP that is not named here (VXLAN, Geneve, another WireGuard)
// between addresses that are not protected passes unseen: UDP does not tell what
// is in it, its ports are anybody's, and it may be sealed. What this machine routes
// into such a tunnel the fence holds back (package nft); what it bridges is not.
//
// The prefixes are one map in a slot, replaced in one step; flows that are new
// come before those that go. Both are in the maps of the programs, and stay
// while either is attached.
//
// # What it cannot see
//
// Egress hooks are passed over by packet sockets with PACKET_QDISC_BYPASS and by
// AF_XDP transmit, which the guard refuses; and by pktgen, netconsole, XDP
// redirects from other devices, XDP frames of BPF_PROG_RUN (live frames, which go out
// as XDP_TX, or are taken for received), and bridges in hardware, which nothing does.
// All need CAP_NET_RAW or more, these BPF's, which is what to take from whoever shares
// the network namespace. Native XDP alone does not see what a program of this host puts
// into the port's reception (BPF_F_INGRESS): that was on no wire. ways_test.go and its
// like have each that can be tried. And it judges by the header: whoever may send raw frames
// may write 0x88E5 before clear text, and only the peer's SecY refuses it.
//
// A tag that the NIC takes out of the frame before XDP is not seen either; the
// frame is judged by what follows, so that nothing but MACsec, EAPOL and the
// allowed passes. In a generic hook frames that were joined by GRO count once.
//
// Ingress counts what a socket then has no room for as MACsec that passed: the
// socket counts it as dropped (XDP_STATISTICS). Egress has of AF_XDP what
// Sockets.Sent was told.
package bpf
