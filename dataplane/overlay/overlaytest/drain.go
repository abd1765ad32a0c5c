package overlaytest

import "time"

// Drain waits until so many have arrived, and for what is missing until nothing has
// come for ten seconds: a machine that does other things may hold up who is to read.
func Drain(sent uint64, arrived func() uint64) {
	const silence = 10 * time.Second
	for last, came := arrived(), time.Now(); last < sent && time.Since(came) < silence; {
		time.Sleep(10 * time.Millisecond)
		if now := arrived(); now != last {
			last, came = now, time.Now()
		}
	}
}
