package maildrop

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"dinkymail/internal/gate"
	"dinkymail/internal/web"
	"dinkymail/operate"
)

// readTimeout is how long a mail may take to come over the submit socket.
const readTimeout = 2 * time.Minute

// Taker is where mail of the submit socket goes. A nil error means that it is on the disk.
type Taker interface {
	Submit(ctx context.Context, m operate.Mail) (operate.Accepted, error)
}

// Serve takes mail in from users of this machine over the submit socket until ctx ends, and does
// nothing else there. Who hands a mail in is what the kernel says of the connection. Requests in
// flight at the end may go on for grace.
func Serve(ctx context.Context, ln net.Listener, to Taker, grace func() time.Duration, log *slog.Logger) error {
	limits := web.Socket(grace)
	limits.ReadTimeout = readTimeout
	return web.Serve(ctx, gate.NewUsers(ln), newServer(to, log), limits, log)
}

// newServer makes the handler that Serve serves.
func newServer(to Taker, log *slog.Logger) http.Handler {
	refused := web.NewRefusals(log)
	take := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, client := web.User(r)
		answer, err := take(w, r, to, user, client)
		if err == nil {
			_ = web.Answer(w, http.StatusOK, answer) // nobody is left to tell
			return
		}
		e := operate.Explain(err)
		refused.Log(r, e.Level(), client, string(e.Code), e.Code.Status(), e.Message, e.Cause)
		refuse(w, e)
	})
	return web.Guard{Log: log, Failed: func(w http.ResponseWriter, _ *http.Request, id string) { refuse(w, operate.Panicked(id)) }}.Wrap(take)
}

func refuse(w http.ResponseWriter, e *operate.Error) {
	web.RetryAfter(w.Header(), e.Retry)
	_ = web.Answer(w, e.Code.Status(), e.Body()) // nobody is left to tell
}

// take is POST /api/v1/submit, the one address there is.
func take(w http.ResponseWriter, r *http.Request, to Taker, user, client string) (operate.Accepted, error) {
	switch {
	case strings.TrimRight(r.URL.Path, "/") != operate.SubmitPath:
		return operate.Accepted{}, operate.Nowhere()
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return operate.Accepted{}, operate.Refuse(operate.CodeMethod, "Only POST method is allowed")
	case web.Compressed(r):
		return operate.Accepted{}, operate.Compressed()
	}
	m, err := operate.ParseQuery(r.URL.RawQuery, user)
	if err != nil {
		return operate.Accepted{}, err
	}
	m.Body, m.User, m.Client = r.Body, user, client
	return to.Submit(r.Context(), m)
}
