// Package house holds the rules of this repository as tests: which package may
// import which, and what every package and file has to be like.
package house
