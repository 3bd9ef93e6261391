// Package control carries operate.Operator over DATA_DIR/control.sock, both ends: Serve gives what
// this process does to whoever can open the socket, and Client is an Operator that asks there.
//
// # What it promises
//
// What may be done is the file system's choice: whoever can open the socket may do everything, and
// the public API is there as well. On TCP none of it exists. What goes over the socket is HTTP and
// JSON, as docs/api.md lists it, so that curl can ask, too. An error is the same operate.Error at
// both ends.
//
// # Limits
//
// A request's JSON has at most 64 MiB. An answer may take as long as it likes; one that follows
// what happens ends when Serve is told to. Each user but root may have 100 connections.
//
// # Who runs where
//
// Serve blocks; net/http runs a goroutine per connection, and two more follow the events of each
// watcher. When Serve has returned, none of them is left.
package control

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dinkymail/internal/gate"
	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Socket is the name of the control socket in DATA_DIR.
const Socket = "control.sock"

// Paths of the operator's part of the API.
const (
	listPath    = "/api/v1/queue/list"
	actionPath  = "/api/v1/queue/actions"
	messagePath = "/api/v1/queue/messages/" // + ID, and "/headers", "/body" or "/raw"
	eventsPath  = "/api/v1/events"
	statsPath   = "/api/v1/stats"
	pausePath   = "/api/v1/pause"
	resumePath  = "/api/v1/resume"
	submitPath  = operate.SubmitPath
	backupPath  = "/api/v1/backup"
	logPath     = "/api/v1/log"

	settingsPath = "/api/v1/settings"
	reloadPath   = "/api/v1/reload"
)

// listRequest is the body of POST /api/v1/queue/list.
type listRequest struct {
	queue.Selection
	After queue.ID `json:"after,omitempty"`
	Limit int      `json:"limit,omitempty"`
}

// pauseRequest is the body of POST /api/v1/pause and /api/v1/resume.
type pauseRequest struct {
	What   string `json:"what"`
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // who asks; heeded of root alone, for the kernel tells who everybody else is
}

// done is the answer where there is nothing to say.
type done struct {
	Success bool `json:"success"`
}

// Serve answers for o on the control socket until ctx ends. Requests for which o has no answer go
// to api, which takes everybody for somebody who may do everything. Those in flight at the end may
// go on for grace.
func Serve(ctx context.Context, ln net.Listener, o operate.Operator, api http.Handler, grace func() time.Duration, log *slog.Logger) error {
	return web.Serve(ctx, gate.NewUsers(ln), newServer(o, api, log), web.Socket(grace), log)
}

// server answers requests.
type server struct {
	operator operate.Operator
	mux      *http.ServeMux
	guard    web.Guard
	refused  *web.Refusals
}

// newServer makes the handler that Serve serves.
func newServer(o operate.Operator, api http.Handler, log *slog.Logger) http.Handler {
	guard := web.Guard{Log: log, Failed: func(w http.ResponseWriter, _ *http.Request, id string) { refuse(w, operate.Panicked(id)) }}
	s := &server{operator: o, mux: http.NewServeMux(), guard: guard, refused: web.NewRefusals(log)}
	s.mux.Handle("/", api)
	s.route(http.MethodPost, listPath, asked(func(ctx context.Context, q listRequest) (operate.List, error) {
		return o.List(ctx, q.Selection, q.After, q.Limit)
	}))
	s.route(http.MethodPost, actionPath, asked(o.Act))
	s.route(http.MethodGet, messagePath+"{id}", s.show)
	s.route(http.MethodGet, messagePath+"{id}/{part}", s.cat)
	s.route(http.MethodGet, eventsPath, s.events)
	s.route(http.MethodGet, statsPath, told(o.Stats))
	s.route(http.MethodPost, pausePath, s.pause)
	s.route(http.MethodPost, resumePath, asked(func(ctx context.Context, q pauseRequest) (done, error) {
		return done{true}, o.Resume(ctx, q.What)
	}))
	s.route(http.MethodGet, logPath, s.log)
	s.route(http.MethodPost, submitPath, s.submit)
	s.route(http.MethodGet, settingsPath, told(o.Settings))
	s.route(http.MethodPost, reloadPath, told(o.Reload))
	s.route(http.MethodGet, backupPath, s.backup)
	return s.mux
}

// route answers requests to a path, with a slash at its end or without, and refuses those of
// another method.
func (s *server) route(method, path string, h handler) {
	other := s.serve(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", method)
		return operate.Refuse(operate.CodeMethod, "Only "+method+" method is allowed")
	})
	for _, path := range []string{path, path + "/{$}"} {
		s.mux.Handle(method+" "+path, s.serve(h))
		s.mux.Handle(path, other)
	}
}

// handler answers a request, or returns an error and has written nothing.
type handler func(w http.ResponseWriter, r *http.Request) error

// serve is the border: what went wrong inside becomes a status and a body here.
func (s *server) serve(h handler) http.Handler {
	return s.guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			e := operate.Explain(err)
			_, client := web.User(r)
			s.refused.Log(r, e.Level(), client, string(e.Code), e.Code.Status(), e.Message, e.Cause)
			refuse(w, e)
		}
	}))
}

func refuse(w http.ResponseWriter, e *operate.Error) {
	web.RetryAfter(w.Header(), e.Retry)
	_ = web.Answer(w, e.Code.Status(), e.Body()) // nobody is left to tell
}

// told answers with what do returns.
func told[A any](do func(context.Context) (A, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		answer, err := do(r.Context())
		if err != nil {
			return err
		}
		return web.Answer(w, http.StatusOK, answer)
	}
}

// asked reads a request in JSON, and answers with what do returns.
func asked[Q, A any](do func(context.Context, Q) (A, error)) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var q Q
		if err := readJSON(w, r, &q); err != nil {
			return err
		}
		return told(func(ctx context.Context) (A, error) { return do(ctx, q) })(w, r)
	}
}

func (s *server) show(w http.ResponseWriter, r *http.Request) error {
	id, err := operate.ParseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	return told(func(ctx context.Context) (operate.Detail, error) { return s.operator.Show(ctx, id) })(w, r)
}

func (s *server) cat(w http.ResponseWriter, r *http.Request) error {
	id, err := operate.ParseID(r.PathValue("id"))
	if err != nil {
		return err
	}
	out := &begun{ResponseWriter: w, kind: "text/plain; charset=utf-8"}
	part := r.PathValue("part")
	switch part {
	case "raw":
		out.kind = "message/rfc822"
	case "headers", "body":
	default:
		return operate.Nowhere()
	}
	return out.end(s.operator.Cat(r.Context(), id, part, out))
}

// pause notes who asks: whom the kernel names, and of root, who may be anybody behind sudo, who it
// says it is.
func (s *server) pause(w http.ResponseWriter, r *http.Request) error {
	user, _ := web.User(r)
	return asked(func(ctx context.Context, q pauseRequest) (done, error) {
		if user != "root" && user != "" || strings.TrimSpace(q.By) == "" {
			q.By = user
		}
		return done{true}, s.operator.Pause(ctx, q.What, q.Reason, q.By)
	})(w, r)
}

// log writes of the lines that are kept those that name ?id=, or else the newest ?lines=.
func (s *server) log(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	out := &begun{ResponseWriter: w, kind: "text/plain; charset=utf-8"}
	if id := query.Get("id"); id != "" {
		return out.end(s.operator.Log(r.Context(), id, out))
	}
	n, _ := strconv.Atoi(query.Get("lines")) // what is no number is none
	return out.end(s.operator.NewestLog(r.Context(), n, out))
}

func (s *server) submit(w http.ResponseWriter, r *http.Request) error {
	if web.Compressed(r) {
		return operate.Compressed()
	}
	user, client := web.User(r)
	m, err := operate.ParseQuery(r.URL.RawQuery, user)
	if err != nil {
		return err
	}
	m.Body, m.User, m.Client = r.Body, user, client
	return told(func(ctx context.Context) (operate.Accepted, error) { return s.operator.Submit(ctx, m) })(w, r)
}

func (s *server) backup(w http.ResponseWriter, r *http.Request) error {
	out := &begun{ResponseWriter: w, kind: "application/x-tar"}
	return out.end(s.operator.Backup(r.Context(), out))
}
