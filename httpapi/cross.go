package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"dinkymail/operate"

	"github.com/go-chi/chi/v5"
	"github.com/rs/cors"
	"golang.org/x/net/http/httpguts"
)

// The addresses whose errors have a shape of their own.
const (
	sendPath  = "/send"
	emailPath = "/api/v1/email/send"
)

// headersRead are the request headers that the API itself reads of a page, and those that most
// fetch libraries add.
var headersRead = []string{"Content-Type", "Authorization", "X-API-KEY", "Accept", "X-Requested-With"}

// headersAsked is how many further headers a preflight may ask for.
const headersAsked = 50

// cross mounts h where pages of other origins may call it. An allowed origin gets its preflight
// answered, a foreign one gets 403 and h never runs: rs/cors alone only keeps the answer from the
// page. A page may set any header, which its libraries do (traceparent, baggage, X-CSRF-Token): no
// header gives it a right but a key, and whoever shows its Origin is no program.
func (s *Server) cross(r chi.Router, pattern, method string, h handler) {
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	allow := strings.Join(append(methods[:len(methods):len(methods)], http.MethodOptions), ", ")
	guarded := s.serve(func(w http.ResponseWriter, r *http.Request) error {
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		if !preflight && r.Method != method && (r.Method != http.MethodHead || method != http.MethodGet) {
			w.Header().Set("Allow", allow)
			return refuse(operate.CodeMethod, "Only "+method+" method is allowed")
		}
		if err := s.callers.checkOrigin(r); err != nil {
			return err
		}
		if preflight {
			if header := w.Header(); header.Get("Access-Control-Allow-Origin") != "" {
				header.Set("Access-Control-Allow-Methods", allow)
				header.Set("Access-Control-Allow-Headers", strings.Join(allowedHeaders(r.Header), ", "))
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return h(w, r)
	})
	r.Handle(pattern, cors.New(cors.Options{
		// Never AllowedOrigins: an empty list there means everybody.
		AllowOriginVaryRequestFunc: func(r *http.Request, _ string) (bool, []string) {
			return s.callers.checkOrigin(r) == nil, nil
		},
		AllowedMethods:     methods,
		AllowedHeaders:     []string{"*"}, // whatever is asked for: allowedHeaders writes them
		ExposedHeaders:     []string{"Retry-After"},
		MaxAge:             600,
		OptionsPassthrough: true,
	}).Handler(guarded))
}

// allowedHeaders are the headers that a preflight of an allowed origin is told it may set: "*"
// itself would not cover Authorization.
func allowedHeaders(h http.Header) []string {
	all := slices.Clone(headersRead)
	for _, line := range h["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			same := func(known string) bool { return strings.EqualFold(known, name) }
			if httpguts.ValidHeaderFieldName(name) && !slices.ContainsFunc(all, same) && len(all) < len(headersRead)+headersAsked {
				all = append(all, name)
			}
		}
	}
	return all
}

// unknown answers where there is nothing.
func (s *Server) unknown(_ http.ResponseWriter, r *http.Request) error {
	return operate.Nowhere()
}

// wrongMethod answers a method that the address does not know, with those it does. The router comes
// here with a method of which it has never heard also when the address is unknown.
func (s *Server) wrongMethod(w http.ResponseWriter, r *http.Request) error {
	routes := chi.RouteContext(r.Context()).Routes
	var allow []string
	for _, m := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
			allow = append(allow, m)
		}
	}
	switch {
	case len(allow) == 0:
		return s.unknown(w, r)
	case r.URL.Path == sendPath || r.URL.Path == emailPath:
		allow = []string{http.MethodPost, http.MethodOptions}
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	return refuse(operate.CodeMethod, "Only "+allow[0]+" method is allowed")
}

// slashless takes the slashes off the end of a path: many clients put one there, and no address of
// ours has one.
func slashless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := len(r.URL.Path); n > 1 && r.URL.Path[n-1] == '/' && strings.HasSuffix(r.URL.EscapedPath(), "/") {
			u := *r.URL
			for len(u.Path) > 1 && strings.HasSuffix(u.EscapedPath(), "/") {
				u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
			}
			short := *r
			short.URL = &u
			r = &short
		}
		next.ServeHTTP(w, r)
	})
}
