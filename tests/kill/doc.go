// Package kill ends processes with SIGKILL at a chosen step, so that a test can
// have each step be the last: a call to a vault (azure.Die, with End), or a
// system call that changes files (Watch). Its tests do so to the verbs; those
// of tests/userspace to daemons.
//
// They run the linkseal that LINKSEAL_BIN names, else the repository's
// bin/linkseal, and print what they did as lines that begin with "figure: ".
// LINKSEAL_SOAK=1 kills at every step, make test at some.
package kill
