// Package device is a port's SecY in user space, at work: it moves frames
// between the interface's tap and the port through a softsecy.SecY.
//
//	host --> tap --> segment, protect --> port --> wire
//	host <-- tap <-- coalesce, validate <-- port <-- wire
//
// The host hands over and takes packets of up to 64 KiB (IFF_VNET_HDR), so
// that one system call on the tap is for many frames; so is one on the port.
//
// The port side is AF_XDP rings, fed by the must filter's XDP program, where
// frames fit into a page; else packet sockets, also where the filter has no XDP. What AF_XDP transmits passes tc
// by, so that it is counted for the filter here.
//
// A worker is a pair of goroutines, one each way; there is one for each of the
// port's queues, up to the number of processors. The host keeps a flow in one
// queue of the tap, so that its order is kept. With several workers frames of
// different flows may leave in another order than that of their PNs: with a
// replay window that is too narrow for it, which the peer is taken to have too,
// there is one worker.
//
// The reconciler owns the tap: it makes it, names it, gives it addresses and
// deletes it. The KaY owns the SAs. The Device is what is between, and when it
// is closed, or its process dies, the tap has no carrier and nothing passes.
package device
