package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"dinkymail/internal/web"
	"dinkymail/queue"
)

// lifeSign is how often a watcher who sees nothing is shown that the connection is alive.
const lifeSign = 15 * time.Second

// lastWords is how long a watcher may take to read what was written before the appliance stops.
const lastWords = time.Second

// events tells what happens from now on, one JSON object a line, and an empty line now and then. It
// ends when the client leaves or the appliance stops.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	conn := http.NewResponseController(w)
	var others sync.WaitGroup
	defer others.Wait()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	others.Go(func() { // one who does not read must not keep the appliance from stopping
		select {
		case <-web.Stopping(r):
			_ = conn.SetWriteDeadline(time.Now().Add(lastWords))
		case <-ctx.Done():
		}
	})
	events, err := s.operator.Watch(ctx) // before the answer begins: whoever reads that misses nothing
	if err != nil {
		return err
	}
	happened := make(chan queue.Event)
	others.Go(func() {
		defer close(happened)
		for e, err := range events {
			if err != nil {
				return
			}
			select {
			case happened <- e:
			case <-ctx.Done():
				return
			}
		}
	})
	out := &begun{ResponseWriter: w, kind: "application/x-ndjson"}
	out.start()
	follow(r, conn, out, happened)
	return nil
}

// follow writes events until the client or the appliance goes away.
func follow(r *http.Request, conn *http.ResponseController, out *begun, happened <-chan queue.Event) {
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	tick := time.NewTicker(lifeSign)
	defer tick.Stop()
	for err := conn.Flush(); err == nil; err = errors.Join(err, conn.Flush()) {
		select {
		case <-web.Stopping(r):
			return
		case e, more := <-happened:
			if !more {
				return
			}
			err = lines.Encode(e)
		case <-tick.C:
			_, err = out.Write([]byte("\n"))
		}
	}
}
