// Package httpapi takes mail in over HTTP: from a website's contact form, from applications with a key and from programs on
// this machine. It also answers what became of a mail, whether the appliance is well, and shows captured mail in development.
//
// # What it promises
//
// A success means that the mail is on the disk. A visitor, which is everybody without a key who is not on this machine, can
// only write to the owner of the appliance: to FormRecipients, from DefaultFrom, a few times a minute. A page of a foreign
// origin is refused before its request is read; hiding the answer, which is all that CORS does, would not stop the mail. A
// name that somebody else points at this machine (DNS rebinding) does not make a caller a program on this machine, and
// neither does a reverse proxy that runs on it. What an upstream server said is never shown to a visitor. The zero Config
// trusts nobody and lets nobody send.
//
// # Limits
//
// Every request has a time, a header size and a body size within which it must stay, and all bodies together stay within
// Config.MaxBuffered. Connections are limited in all and per client. A panic costs its own request only.
//
// # Who runs where
//
// Serve blocks; net/http runs a goroutine per connection, and one more copies a large mail into the queue while it is being
// composed. When Serve has returned, none of them is left. Handlers share no state but the rate limiter, the log's noise
// limiter, the health memory, the room for bodies and the counters, each safe by itself.
package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-chi/chi/v5"

	"dinkymail/message"
	"dinkymail/queue"
)

// Queue is what the API needs of *queue.Queue.
type Queue interface {
	Submit(ctx context.Context, s queue.Submission) (queue.ID, error)
	Get(id queue.ID) (queue.Message, error)
	List(ctx context.Context, filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error)
	Body(id queue.ID) (io.ReadSeekCloser, error)
	State(m *queue.Message) (queue.State, string)
	Status() queue.Status
	Check() error
}

// Config says who may do what, and how much. The zero value lets nobody send.
type Config struct {
	Domain      string // MAIL_DOMAIN: whom programs may send as, and the right-hand side of Message-IDs
	Hostname    string // MAIL_HOSTNAME: a Host that is ours
	DefaultFrom message.Mailbox
	DefaultTo   message.Mailbox
	Version     string
	Development bool // show captured mail

	// FormRecipients are the addresses, or "@domain", that visitors may write to. Empty: DefaultTo and "@" + Domain.
	FormRecipients []string
	FormRate       Rate     // visitors' requests to send, per client address; zero N: no limit
	AllowedHosts   []string // origins that may call, see ParseOrigins; empty: none but ourselves
	Hosts          []string // further host names that are ours

	TrustedNetworks []netip.Prefix // peers that may be programs on this machine
	TrustedProxies  []netip.Prefix // peers whose X-Forwarded-For is believed
	Keys            []Key

	// What callers may use up. Zero means the default that is named here.
	MaxBody                 int64         // HTTP_MAX_BODY, bytes of one request body: 35 MiB
	MaxBuffered             int64         // bytes of memory for all request bodies at one time: 256 MiB, and never less than one takes
	MaxHeaderBytes          int           // 16 KiB
	MaxConnections          int           // 1000, a tenth of them for TrustedNetworks and TrustedProxies alone
	MaxConnectionsPerClient int           // 100; TrustedNetworks and TrustedProxies have no such limit
	HeaderTimeout           time.Duration // for the request line and header: 10 s
	ReadTimeout             time.Duration // for a whole request: 2 min
	WriteTimeout            time.Duration // from the end of the header to the end of the answer: 4 min
	IdleTimeout             time.Duration // between requests: 2 min
	Grace                   time.Duration // for requests in flight once Serve is told to end: 10 s
}

// Key lets one application send.
type Key struct {
	Name   string // stands in the log and the Received field
	Secret string
	// From are the senders it may use: addresses, "@domain" or "*". Empty: DefaultFrom and addresses at Domain.
	From []string
}

// Rate is a number of requests in a span of time.
type Rate struct {
	N   int
	Per time.Duration
}

// Server is the API over one queue. Make it with New.
type Server struct {
	queue   Queue
	cfg     Config
	log     *slog.Logger
	callers *callers
	health  health
	noise   noise
	bodies  bodies
	metrics *metrics
	handler http.Handler
}

// New makes a Server. It opens and starts nothing. Entries of AllowedHosts, FormRecipients and Key.From that make no sense
// match nothing; ParseOrigins and ParseSenders tell which those are.
func New(q Queue, cfg Config, log *slog.Logger) *Server {
	cfg = cfg.withDefaults()
	s := &Server{queue: q, cfg: cfg, log: log, callers: newCallers(cfg), metrics: newMetrics(q, cfg.Version)}
	s.health.queue = q
	s.noise.init()
	s.bodies.left.Store(cfg.MaxBuffered)
	s.handler = s.routes()
	return s
}

// Handler is the whole API, without the limits that belong to a listener.
func (s *Server) Handler() http.Handler { return s.handler }

func (s *Server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(forwarded(s.cfg.TrustedProxies), s.watch)
	r.NotFound(s.serve(s.unknown))
	r.MethodNotAllowed(s.serve(s.wrongMethod))

	s.cross(r, "/send", http.MethodPost, s.send)
	s.cross(r, "/api/v1/email/send", http.MethodPost, s.sendEmail)
	s.cross(r, "/api/v1/email/status/{messageId}", http.MethodGet, s.status)
	s.cross(r, "/api/health", http.MethodGet, s.showHealth)
	get := func(pattern string, h handler) {
		r.Get(pattern, s.serve(h))
		r.Head(pattern, s.serve(h))
	}
	get("/health", s.showHealth)
	get("/metrics", s.showMetrics)
	get("/", s.home)
	if s.cfg.Development {
		get("/captured", s.listCaptured)
		get("/captured/{id}", s.showCaptured)
		get("/captured/{id}/raw", s.rawCaptured)
		get("/captured/{id}/html", s.htmlCaptured)
	}
	return r
}

// withDefaults replaces every limit that is zero by its default.
func (c Config) withDefaults() Config {
	def(&c.MaxBody, 35<<20)
	def(&c.MaxBuffered, 256<<20)
	c.MaxBuffered = max(c.MaxBuffered, 2*c.MaxBody+keepBuffer)
	def(&c.MaxHeaderBytes, 16<<10)
	def(&c.MaxConnections, 1000)
	def(&c.MaxConnectionsPerClient, 100)
	def(&c.HeaderTimeout, 10*time.Second)
	def(&c.ReadTimeout, 2*time.Minute)
	def(&c.WriteTimeout, 4*time.Minute)
	def(&c.IdleTimeout, 2*time.Minute)
	def(&c.Grace, 10*time.Second)
	return c
}

func def[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// home says what this is; in development it leads to the captured mail.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Development {
		http.Redirect(w, r, "/captured", http.StatusFound)
		return nil
	}
	return answer(w, http.StatusOK, struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{true, "This is Dinkymail: POST /send takes mail, GET /health tells whether it is well."})
}
