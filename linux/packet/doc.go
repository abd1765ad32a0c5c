// Package packet is packet sockets that move frames in batches: one system
// call for many (recvmmsg, sendmmsg). It is what linkseal uses where AF_XDP
// cannot be: for frames longer than a page, on a kernel without it, on a port
// whose XDP slot is not linkseal's.
//
// What is transmitted passes tc egress.
package packet
