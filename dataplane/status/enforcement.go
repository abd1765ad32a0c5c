package status

import "fmt"

// Enforcement is what stands at a must-secure port.
type Enforcement struct {
	// Ingress is how the filter is attached: to XDP, native (in the driver) or
	// generic (in the stack), else to tc, tcx or clsact; Egress is to tc. none: it
	// is not.
	Ingress string `json:"ingress"`
	Egress  string `json:"egress"`
	// NoXDP is why Ingress is to tc, as the daemon found it.
	NoXDP string `json:"no_xdp,omitempty"`
	// Guard tells that PACKET_QDISC_BYPASS, and AF_XDP transmission by others
	// than linkseal, are refused in the port's network namespace, and GuardError
	// why they are not.
	Guard      bool   `json:"guard"`
	GuardError string `json:"guard_error,omitempty"`
	// Refused counts them, by bypass and xdp, in all of the namespace.
	Refused map[string]uint64 `json:"refused,omitempty"`
}

// String is for people.
func (e *Enforcement) String() string {
	guard := "no guard"
	switch {
	case e.Guard:
		guard = "guarded"
	case e.GuardError != "":
		guard += ": " + e.GuardError
	}
	if n := e.Refused["bypass"] + e.Refused["xdp"]; n > 0 {
		guard += fmt.Sprintf(", sockets refused %d", n)
	}
	ingress := "XDP " + e.Ingress
	switch e.Ingress {
	case "none":
		ingress = e.Ingress
	case "tcx", "clsact":
		ingress = e.Ingress + ", not XDP"
		if e.NoXDP != "" {
			ingress += " (" + e.NoXDP + ")"
		}
	}
	return fmt.Sprintf("ingress %s, egress %s, %s", ingress, e.Egress, guard)
}
