// Package drops tells what the filters of must-secure ports have dropped: the
// first frame of a kind at once, in the log, and then one line a minute with
// how many there were; the newest of each port in status, and counts of them
// for metrics. A kind is a port's direction and reason.
//
// Filters outlive the daemon, and are replaced under it: a reader follows the
// filter that is on the device. It tells nothing of what was dropped while no
// daemon read but its number, which the filter's own counters have.
package drops
