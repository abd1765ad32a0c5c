package wireguard

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A WireGuard in this process has some 10 MiB of buffers, which are garbage when it
// ends. Sessions that are opened anew one after the other, as reloads may, would
// leave the process with several times what it needs, for minutes.

// freeing is true while a collection is due.
var freeing atomic.Bool

// free gives the system back what has become garbage, a second from now: it is a
// collection, and one does for all that ends until then.
func free() {
	if freeing.CompareAndSwap(false, true) {
		time.AfterFunc(time.Second, func() {
			freeing.Store(false)
			runtime.GC() // after which finalizers have emptied queues, and pools let go with the next
			debug.FreeOSMemory()
		})
	}
}
