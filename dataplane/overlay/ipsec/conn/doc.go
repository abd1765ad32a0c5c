// Package conn turns a tunnel's configuration into the connections that charon
// is told of over vici: pure data, in strongSwan's words (swanctl.conf(5)).
package conn
