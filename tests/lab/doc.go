// Package lab builds appliances in network namespaces of this machine, joined
// by a cable or a bridge, runs linkseal in them, sends traffic through and
// counts what is lost and what is on the wire. The lab verb tells its story
// (Run); tests use the parts.
//
// All that it makes is in namespaces and folders of its own, and Close removes
// them.
package lab
