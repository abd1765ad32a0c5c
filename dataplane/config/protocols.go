package config

import "slices"

// protocols are the names that bpf's filter knows: see TestProtocols.
var protocols = []string{"lacp", "lldp"}

// Protocols are the clear protocols that a port's allow may name.
func Protocols() []string { return slices.Clone(protocols) }
