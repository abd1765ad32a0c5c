// Package eapol carries MKPDUs over one Ethernet port: a packet socket bound
// to the port and to the EtherType of EAPOL, with a filter in the kernel that
// lets through only MKA's frames (EAPOL type 5, 802.1X-2020 table 11-3) that
// are addressed to the configured group or to the port itself.
//
// Frames are whole Ethernet frames without FCS, octets in the order of the
// wire: destination 6, source 6, EtherType 2, then the EAPOL header. A VLAN
// tag is never among them: a port that carries MACsec untagged has its MKA
// untagged, so that a tagged frame is somebody else's and is dropped in the
// kernel, whether the tag is in the frame or was taken out by the NIC. A
// priority tag (VID 0) is no VLAN's: the kernel removes it before any socket
// sees the frame, and the frame counts as untagged. The must-secure filter of
// package bpf, which is before that, drops it.
//
// A Conn belongs to the network namespace of the thread that called Listen
// and is then used from any goroutine.
package eapol
