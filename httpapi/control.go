package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// controlRoutes are the whole API and the operator's part.
func (s *Server) controlRoutes() http.Handler {
	r := s.router(slashless, as(operator), s.watch)
	s.mail(r)
	r.Post(listPath, s.serve(s.list))
	r.Post(actionPath, s.serve(s.act))
	r.Get(messagePath+"{id}", s.serve(s.showMessage))
	r.Get(messagePath+"{id}/{part:headers|body|raw}", s.serve(s.cat))
	r.Get(eventsPath, s.serve(s.events))
	r.Get(statsPath, s.serve(s.stats))
	r.Post(pausePath, s.serve(s.pause))
	r.Post(resumePath, s.serve(s.resume))
	r.Get(logPath, s.serve(s.showLog))
	r.Post(submitPath, s.serve(s.takeRaw))
	if s.cfg.Settings != nil {
		r.Get(settingsPath, s.serve(s.showSettings))
		r.Post(reloadPath, s.serve(s.reload))
	}
	if s.cfg.Backup != nil {
		r.Get(backupPath, s.serve(s.backup))
	}
	return r
}

// submitRoutes are the one route of the submit socket.
func (s *Server) submitRoutes() http.Handler {
	r := s.router(slashless, as(localUser), s.watch)
	r.Post(submitPath, s.serve(s.takeRaw))
	return r
}

// largestRequest bounds the JSON of an operator's request: half a million IDs and room to spare.
const largestRequest = 64 << 20

// readJSON reads an operator's request into v. A field that is not known is refused: a filter with a typing mistake must not
// mean everything.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestRequest))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		return web.Malformed("something stands behind the JSON object.")
	}
	if err == nil {
		return nil
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return web.Refuse(web.CodeTooLarge, web.BadFormat+fmt.Sprintf("the request is larger than %d bytes.", largestRequest))
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return web.Malformed(fmt.Sprintf("the field %q cannot be %s.", t.Field, t.Value))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return web.Malformed("the JSON ends too early.")
	}
	return web.Malformed(strings.TrimPrefix(err.Error(), "json: ") + ".")
}

// longestReason bounds an operator's words, in bytes.
const longestReason = 1000

// clean makes an operator's words fit for a log line, a record and a notice.
func clean(reason string) string {
	reason = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(reason, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(reason) > longestReason {
		reason = strings.ToValidUTF8(reason[:longestReason], "")
	}
	return reason
}

// addresses parses what an operator or a program gave as recipients.
func addresses(field string, texts []string) ([]message.Address, error) {
	out := make([]message.Address, 0, len(texts))
	for _, text := range texts {
		a, err := message.ParseAddress(strings.TrimSpace(text))
		if err == nil && a.Domain == "" {
			err = &message.AddressError{Input: text, Reason: "it has no domain"}
		}
		if err != nil {
			return nil, badAddress(field, text, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// done is the answer where there is nothing to say.
type done struct {
	Success bool `json:"success"`
}

// pause is POST /api/v1/pause.
func (s *Server) pause(w http.ResponseWriter, r *http.Request) error {
	var q pauseRequest
	if err := readJSON(w, r, &q); err != nil {
		return err
	}
	if q.What == "" {
		return web.Malformed(`"what" is missing: ` + queue.Intake + ", " + queue.Everything + " or the name of a lane.")
	}
	if err := s.queue.Pause(q.What, clean(q.Reason), s.asker(r, q.By)); err != nil {
		return err
	}
	return web.Answer(w, http.StatusOK, done{true})
}

// asker is the user who asks for something: whom the kernel names, and of root, who may be anybody behind sudo, who it says it is.
func (s *Server) asker(r *http.Request, said string) string {
	who, _ := s.callers.identify(r)
	if said = clean(said); said != "" && (who.user.Name == "root" || who.user.Name == "") {
		return said
	}
	return who.user.Name
}

// resume is POST /api/v1/resume.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	var q pauseRequest
	if err := readJSON(w, r, &q); err != nil {
		return err
	}
	if q.What == "" {
		return web.Malformed(`"what" is missing: ` + queue.Intake + ", " + queue.Everything + " or the name of a lane.")
	}
	if err := s.queue.Resume(q.What); err != nil {
		return err
	}
	return web.Answer(w, http.StatusOK, done{true})
}

// showLog is GET /api/v1/log: of the lines that are kept those that name ?id=, or else the newest ?lines=.
func (s *Server) showLog(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Log == nil {
		return web.Refuse(web.CodeNotFound, "The appliance keeps no log of its own: look where its standard error goes, "+
			"such as journalctl -u dinkymail.")
	}
	query := r.URL.Query()
	out := &begun{ResponseWriter: w, kind: "text/plain; charset=utf-8"}
	if id := query.Get("id"); id != "" {
		return out.end(s.cfg.Log(r.Context(), id, out))
	}
	n, err := strconv.Atoi(query.Get("lines"))
	if err != nil || n < 1 || n > mostLogLines {
		return web.Malformed(fmt.Sprintf("the parameter id is missing, or lines with a number from 1 to %d.", mostLogLines))
	}
	newest := lastLines{most: n}
	if err := s.cfg.Log(r.Context(), "", &newest); err != nil {
		return out.end(err)
	}
	_, err = out.Write(bytes.Join(newest.lines[max(0, len(newest.lines)-n):], nil))
	return out.end(err)
}

// mostLogLines bounds how many of the newest log lines are shown at once.
const mostLogLines = 10_000

// lastLines keeps at least as many of the lines last written to it, of which each Write is one.
type lastLines struct {
	most  int
	lines [][]byte
}

// Write takes in one line.
func (l *lastLines) Write(line []byte) (int, error) {
	if len(l.lines) == 2*l.most { // so that each line is moved once
		l.lines = slices.Delete(l.lines, 0, l.most)
	}
	l.lines = append(l.lines, bytes.Clone(line))
	return len(line), nil
}

// backup is GET /api/v1/backup.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	out := &begun{ResponseWriter: w, kind: "application/x-tar"}
	return out.end(s.cfg.Backup(r.Context(), out))
}

// begun is an answer in text whose header is written with its first byte, so that an error before that is still an answer.
type begun struct {
	http.ResponseWriter
	kind string
	some bool
}

// Write passes b on, behind the header.
func (b *begun) Write(p []byte) (int, error) {
	b.start()
	return b.ResponseWriter.Write(p)
}

func (b *begun) start() {
	if b.some {
		return
	}
	b.some = true
	header := b.Header()
	header.Set("Content-Type", b.kind)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	b.WriteHeader(http.StatusOK)
}

// end is the handler's result: the error while nothing was written, and a cut connection later, so that half an answer does not
// look like a whole one.
func (b *begun) end(err error) error {
	if err == nil {
		b.start()
		return nil
	}
	if !b.some {
		return err
	}
	panic(http.ErrAbortHandler)
}
