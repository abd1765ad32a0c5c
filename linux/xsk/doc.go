// Package xsk is AF_XDP sockets: frames of one RX queue of a device, and
// frames to one TX queue, through rings in memory that is shared with the
// kernel. A frame costs no system call, a batch costs one.
//
// The kernel hands over nothing by itself: an XDP program on the device
// redirects frames to the socket (see package bpf). Zero-copy where the driver
// has it; else the kernel copies.
//
// A frame is in one buffer: MaxFrame is the longest.
//
// What is transmitted passes tc egress and packet sockets by.
package xsk
