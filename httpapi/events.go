package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"dinkymail/internal/web"
)

// lifeSign is how often a watcher who sees nothing is shown that the connection is alive.
const lifeSign = 15 * time.Second

// lastWords is how long a watcher may take to read what was written before the appliance stops.
const lastWords = time.Second

// events is GET /api/v1/events: what happens from now on, one JSON object a line, and an empty line now and then. It ends when the
// client leaves or the appliance stops.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	conn := http.NewResponseController(w)
	var cutting sync.WaitGroup
	defer cutting.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	cutting.Go(func() { // one who does not read must not keep the appliance from stopping
		select {
		case <-web.Stopping(r):
			_ = conn.SetWriteDeadline(time.Now().Add(lastWords))
		case <-ctx.Done():
		}
	})
	happened := s.queue.Watch(ctx)
	out := &begun{ResponseWriter: w, kind: "application/x-ndjson"}
	out.start()
	flush := conn.Flush
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	tick := time.NewTicker(lifeSign)
	defer tick.Stop()
	for {
		if len(happened) == 0 && flush() != nil {
			return nil // the client went away
		}
		var err error
		select {
		case <-web.Stopping(r):
			return nil
		case e, more := <-happened:
			if !more {
				return nil
			}
			if e.From == "<>" {
				e.From = "" // as in an Entry
			}
			err = lines.Encode(e)
		case <-tick.C:
			_, err = out.Write([]byte("\n"))
		}
		if err != nil {
			return nil // the client went away
		}
	}
}
