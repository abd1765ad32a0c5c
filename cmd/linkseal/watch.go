package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
	"github.com/linkseal/linkseal/dataplane/status/watch"
)

// leastInterval bounds what a watcher costs the daemon.
const leastInterval = 100 * time.Millisecond

// watcher shows the status at intervals, until ctx ends. A daemon that is away
// is told, and tried again; what it refuses at the first try is an error.
type watcher struct {
	client      *status.Client
	interval    time.Duration
	out, errOut io.Writer
	lost        bool // that was told, in errOut
}

// each calls show at each interval, and in between redraw at a signal.
func (w *watcher) each(ctx context.Context, show func() error, signals <-chan os.Signal, redraw func(os.Signal) error) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	err := show()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil
		case got := <-signals:
			err = redraw(got)
		case <-tick.C:
			err = show()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// refused tells whether the first answer, err, is one that no patience mends.
func refused(first bool, err error) bool {
	return first && err != nil && !errors.Is(err, status.ErrNoDaemon)
}

// tell says in errOut when the daemon goes and when it is back.
func (w *watcher) tell(err error) {
	switch {
	case err != nil && !w.lost:
		fmt.Fprintf(w.errOut, "linkseal: %v; tried again every %s\n", err, w.interval)
	case err == nil && w.lost:
		fmt.Fprintln(w.errOut, "linkseal: the daemon answers again")
	}
	w.lost = err != nil
}

// table shows a table with rates: on the alternate screen of a terminal, else
// a block at each interval.
func (w *watcher) table(ctx context.Context) error {
	var screen *watch.Screen
	var signals <-chan os.Signal
	out := w.out
	if o, ok := out.(*output); ok {
		out = o.Writer
	}
	if file, ok := out.(*os.File); ok {
		if screen, ok = watch.Open(file); ok {
			defer screen.Close()
			signals = screen.Signals()
		}
	}
	var view watch.View
	first := true
	show := func() error {
		s, err := w.client.Status(ctx)
		if refused(first, err) || ctx.Err() != nil {
			return err
		}
		first = false
		if err == nil {
			view = view.Next(watch.Sample{Status: s, At: time.Now()})
		} else {
			view = view.Lose(err, time.Now())
		}
		if screen != nil {
			return screen.Draw(view.Lines())
		}
		if w.tell(err); err != nil {
			return nil
		}
		_, err = io.WriteString(w.out, watch.Block(view.Lines()))
		return err
	}
	return w.each(ctx, show, signals, func(got os.Signal) error {
		screen.Handle(got)
		return screen.Draw(view.Lines())
	})
}

// documents writes the status as JSON, one document a line.
func (w *watcher) documents(ctx context.Context) error {
	first := true
	return w.each(ctx, func() error {
		document, err := w.client.Document(ctx)
		if refused(first, err) || ctx.Err() != nil {
			return err
		}
		first = false
		var line bytes.Buffer
		if err == nil {
			err = json.Compact(&line, document)
		}
		if w.tell(err); err != nil {
			return nil
		}
		line.WriteByte('\n')
		_, err = w.out.Write(line.Bytes())
		return err
	}, nil, nil)
}
