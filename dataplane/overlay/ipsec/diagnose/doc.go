// Package diagnose reads charon's log, line by line as vici tells it, and says
// why a tunnel does not come up: which side refused what, what was offered and
// what is accepted. Pure: lines go in, findings come out.
//
// An end that is refused learns little (RFC 7296 2.21: AUTHENTICATION_FAILED
// says neither whether the identity or the key was wrong), and the end that
// refuses knows all. So what this end refused is exact, and what the other
// refused names what it may have been with what was offered.
//
// The lines are those of strongSwan 5.9, at level 1, which has no keys.
package diagnose
