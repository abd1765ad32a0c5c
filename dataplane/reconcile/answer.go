package reconcile

import "errors"

// answer answers the other end's probes, where the kernel's own answers may take
// another member than the request: where there are several, and their address at
// this end is one.
func (t *tunnel) answer(r *Reconciler) {
	t.silence()
	probe := t.cfg.Probe
	if r.o.Answer == nil || probe == nil || t.cfg.Count == 1 {
		return
	}
	var failed error
	for _, m := range t.place.Members {
		for _, a := range t.cfg.Addresses {
			if a.Addr().Is4() != probe.Address.Is4() {
				continue
			}
			c, err := r.o.Answer(m.Interface, a.Addr(), probe.Address)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			t.answers = append(t.answers, c)
		}
	}
	if failed != nil {
		r.log.Warn("probes of the other end are answered by the kernel alone, by one member; the other end may take the others for dead", "tunnel", t.cfg.Name, "error", failed)
	}
}

// silence ends answer.
func (t *tunnel) silence() {
	for _, c := range t.answers {
		_ = c.Close() // of a socket that is read from alone
	}
	t.answers = nil
}
