package status

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// Serve answers requests on l until ctx is done, and closes l. It returns nil
// when ctx ended it.
//
//	GET /v1/status   200, application/json: a Status from snapshot
func Serve(ctx context.Context, l net.Listener, snapshot func() Status) error {
	server := &http.Server{
		Handler:           handler(snapshot),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, l.Close())
	}
	return nil
}

func handler(snapshot func() Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		s := snapshot()
		s.Fill()
		document, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(document, '\n'))
	})
	return mux
}
