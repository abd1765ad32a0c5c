package retire

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Each retirement is followed by two collections, and a burst of them costs no
// more.
func TestEraser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		start := time.Now()
		var at []time.Duration
		e := New(func() { at = append(at, time.Since(start)) })
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		for range 100 {
			e.Soon()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Hour - 100*time.Millisecond)
		e.Soon()
		time.Sleep(settle + time.Second)
		e.Soon() // between the two: gets its own
		time.Sleep(time.Hour)
		stop()
		<-done
		second := time.Hour + settle + again
		want := []time.Duration{settle, settle + again, time.Hour + settle, second, second + settle, second + settle + again}
		if !slices.Equal(at, want) {
			t.Errorf("collected at %v, want %v", at, want)
		}
	})
}
