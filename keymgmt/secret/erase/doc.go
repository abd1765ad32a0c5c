// Package erase runs code that has key octets in registers, on its stack and
// in what it allocates, so that none of them outlives it (runtime/secret): the
// first two are erased when it returns, the third as soon as the garbage
// collector finds it unreachable (package retire has it look).
//
// That takes a linkseal that was built with GOEXPERIMENT=runtimesecret, as make
// builds it; Enabled tells. Built without, it only runs the code.
//
// It does not reach goroutines that the code starts, and global variables.
package erase
