package bpf

import (
	"errors"
	"testing"
)

// BenchmarkLook is what a daemon asks of its own filter, again and again.
func BenchmarkLook(b *testing.B) {
	for name, f := range map[string]Filter{"port": plain, "underlay": overlay} {
		w := newWire(b)
		w.attach(b, f, modes{})
		w.do(b, func() error { return guardHere(w.index()) })
		for what, look := range map[string]func() error{
			"observe":  func() error { _, err := Observe(w.index()); return err },
			"guarded":  func() error { _, _, err := Guarded(w.index()); return err },
			"counters": func() error { _, err := ReadCounters(w.index()); return err },
			"flows": func() error {
				if _, err := ReadFlows(w.index()); !errors.Is(err, ErrNotUnderlay) {
					return err
				}
				return nil
			},
			"circuits": func() error { _, err := ReadOuterCircuits(w.index()); return err },
			"tags":     func() error { _, err := ObserveTags(w.index()); return err },
		} {
			b.Run(name+"/"+what, func(b *testing.B) {
				w.do(b, func() error {
					for b.Loop() {
						if err := look(); err != nil {
							return err
						}
					}
					return nil
				})
			})
		}
	}
}
