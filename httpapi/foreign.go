package httpapi

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"dinkymail/internal/web"
)

// How often the log tells of a page that may not call, and of how many different ones at a time.
const (
	foreignEvery = time.Minute
	foreignKept  = 50
)

// foreign remembers the pages whose refusal the log told of lately.
type foreign struct {
	mu   sync.Mutex // guards told
	told map[string]time.Time
}

// due reports whether the log may tell of origin now.
func (f *foreign) due(origin string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, known := f.told[origin]; known && now.Sub(at) < foreignEvery {
		return false
	}
	for o, at := range f.told {
		if now.Sub(at) >= foreignEvery {
			delete(f.told, o)
		}
	}
	if len(f.told) >= foreignKept {
		return false
	}
	if f.told == nil {
		f.told = map[string]time.Time{}
	}
	f.told[origin] = now
	return true
}

// logForeign tells that a page was refused, and what would allow it.
func (s *Server) logForeign(r *http.Request) {
	shown, fix := web.Clip(strings.Join(r.Header["Origin"], ", ")), "none: a page that hides its origin cannot be allowed"
	if origin, ok := normalOrigin(strings.ToLower(shown)); ok {
		fix = "if this is your website, set ALLOWED_HOSTS=" + strings.Join(append(s.cfg.AllowedHosts[:len(s.cfg.AllowedHosts):len(s.cfg.AllowedHosts)],
			originHost(origin)), ",")
		shown = origin
	}
	if !s.foreign.due(shown, time.Now()) {
		return
	}
	_, client := clientOf(r)
	s.log.Warn("a page was refused: its origin is not in ALLOWED_HOSTS", "origin", shown, "client", client, "method", r.Method,
		"path", web.Clip(r.URL.Path), "fix", fix)
}
