package config

import "slices"

// protocols are the names that the filter on the parent knows, which a test
// holds: this package needs no bpf to read a file.
var protocols = []string{"esmc", "lacp", "lldp", "marker", "oam", "pause", "ptp"}

// Protocols are the clear protocols that a port's allow may name.
func Protocols() []string { return slices.Clone(protocols) }
