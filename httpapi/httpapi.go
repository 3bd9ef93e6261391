// Package httpapi takes mail in over HTTP: from a website's contact form, from applications with a
// key and from programs on this machine. It also answers what became of a mail, whether the
// appliance is well, and shows captured mail in development.
//
// # What it promises
//
// A success means that the mail is on the disk. A visitor, which is everybody without a key who is
// not on this machine, can only write to the owner of the appliance: to FormRecipients, from
// DefaultFrom, a few times a minute. A page of a foreign origin is refused before its request is
// read; hiding the answer, which is all that CORS does, would not stop the mail. A name that
// somebody else points at this machine (DNS rebinding) does not make a caller a program on this
// machine, and neither does a reverse proxy that runs on it, as long as it or the browser before it
// shows itself. What an upstream server said is never shown to a visitor. The zero Config trusts
// nobody and lets nobody send.
//
// # Limits
//
// Every request has a time, a header size and a body size within which it must stay, and all bodies
// together stay within Config.MaxBuffered. Connections are limited in all and per client, requests
// per client behind a proxy; the last places are for programs on this machine. A body that nobody
// needs is not waited for. A panic costs its own request only.
//
// # Who runs where
//
// Serve blocks; net/http runs a goroutine per connection, and one more copies a large mail into the
// queue while it is being composed. When Serve has returned, none of them is left. Handlers share
// no state but the rate limiter, the requests in flight by client, what the log was told of, the
// health memory, the room for bodies, the newest forms and the counters, each safe by itself.
package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"dinkymail/account"
	"dinkymail/internal/gate"
	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Queue is what the API needs of *queue.Queue.
type Queue interface {
	operate.States
	Submit(ctx context.Context, s queue.Submission) (queue.ID, error)
	Get(id queue.ID) (queue.Message, error)
	List(ctx context.Context, filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error)
	Body(id queue.ID) (io.ReadSeekCloser, error)
	Status() queue.Status
	Meters() queue.Meters
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

	// FormRecipients are the addresses, or "@domain", that visitors may write to. Empty: DefaultTo
	// and "@" + Domain.
	FormRecipients []string
	FormRate       Rate     // visitors' mails, per client address; zero N: no limit
	AllowedHosts   []string // origins that may call, see ParseOrigins; empty: none but ourselves
	Hosts          []string // further host names that are ours

	TrustedNetworks []netip.Prefix // peers that may be programs on this machine
	// Accounts has the keys that callers may show, and says who may send as whom; nil: nobody.
	Accounts       *account.Accounts
	KeysOnly       bool           // LOCAL_HTTP=no: on TCP, being on this machine gives no rights
	TrustedProxies []netip.Prefix // peers that are believed whom they name as the client

	// Listening are the addresses that Serve listens on, for whoever asks over the control socket.
	Listening []string
	// Sensor tells the metrics what the machine is like; nil: nothing.
	Sensor interface{ Vitals() Vitals }

	// What callers may use up. Zero means the default that is named here.
	MaxBody                 int64         // HTTP_MAX_BODY, bytes of one request body: 35 MiB
	MaxBuffered             int64         // bytes of memory for all request bodies at one time: 256 MiB, and never less than one takes
	MaxHeaderBytes          int           // 16 KiB
	MaxConnections          int           // 1000, a tenth of them for programs of TrustedNetworks alone
	MaxConnectionsPerClient int           // 100; of clients behind a proxy as many requests. TrustedNetworks and TrustedProxies have no such limit
	HeaderTimeout           time.Duration // for the request line and header: 10 s
	ReadTimeout             time.Duration // for a whole request: 2 min
	WriteTimeout            time.Duration // from the end of the header to the end of the answer: 4 min
	IdleTimeout             time.Duration // between requests: 2 min
	Grace                   time.Duration // for requests in flight once Serve is told to end: 10 s
}

// Vitals is what a queue needs besides itself.
type Vitals struct {
	Free, Size   int64                // bytes of the disk with the queue; Size zero: not known
	Certificates map[string]time.Time // when each ends, by whose it is: "own", "upstream"
}

// Rate is a number of requests in a span of time.
type Rate struct {
	N   int
	Per time.Duration
}

// Server is the API over one queue. Make it with New.
type Server struct {
	*lasting
	cfg     Config
	callers *callers
	handler http.Handler
	trusted http.Handler
}

// lasting is what stays the same when the settings change.
type lasting struct {
	latest  atomic.Pointer[Server] // answers the requests that come now
	queue   Queue
	log     *slog.Logger
	health  health
	refused *web.Refusals
	foreign foreign
	bodies  bodies
	proxies proxies
	crowd   gate.Counter[netip.Prefix] // requests in flight of each client behind a proxy: the connections are the proxy's
	turned  atomic.Int64               // when a stranger was last turned away for want of a place
	repeats repeats
	metrics *metrics
}

// New makes a Server. It opens and starts nothing. Entries of AllowedHosts and FormRecipients that
// make no sense match nothing; ParseOrigins and account.ParseAddresses tell which those are.
func New(q Queue, cfg Config, log *slog.Logger) *Server {
	l := &lasting{queue: q, log: log, refused: web.NewRefusals(log)}
	l.health.queue = q
	l.metrics = newMetrics(q, cfg.Version, l.vitals)
	s := l.server(cfg, nil)
	l.bodies.left.Store(s.cfg.MaxBuffered)
	l.latest.Store(s)
	return s
}

// Use makes cfg the settings of all requests that come from now on, whichever Server of this queue
// they come through. Requests in flight end as they began. Times, MaxConnections, MaxHeaderBytes
// and Listening stay; what clients have used up of FormRate stays used up unless FormRate is
// another.
func (s *Server) Use(cfg Config) {
	old := s.latest.Load()
	cfg.MaxConnections, cfg.MaxHeaderBytes, cfg.Listening = old.cfg.MaxConnections, old.cfg.MaxHeaderBytes, old.cfg.Listening
	fresh := s.server(cfg, old.callers)
	s.bodies.left.Add(fresh.cfg.MaxBuffered - old.cfg.MaxBuffered)
	s.latest.Store(fresh)
}

// server answers with the settings of cfg. It goes on counting where callers, which may be nil,
// did.
func (l *lasting) server(cfg Config, before *callers) *Server {
	cfg = cfg.withDefaults()
	s := &Server{lasting: l, cfg: cfg, callers: newCallers(cfg)}
	if before != nil && before.cfg.FormRate == cfg.FormRate {
		s.callers.limit = before.limit
	}
	s.handler = s.routes(s.forwarded, s.watch, s.admit)
	s.trusted = s.routes(asOperator, s.watch)
	return s
}

// vitals is what the queue needs besides itself, as far as it is known.
func (l *lasting) vitals() Vitals {
	if sensor := l.latest.Load().cfg.Sensor; sensor != nil {
		return sensor.Vitals()
	}
	return Vitals{}
}

// Handler is the API as it is served on TCP, without the limits that belong to a listener.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.latest.Load().handler.ServeHTTP(w, r) })
}

// Trusted is the API for the control socket: whoever may call it may send as anybody and read
// everything.
func (s *Server) Trusted() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.latest.Load().trusted.ServeHTTP(w, r) })
}

// routes is the API behind these handlers.
func (s *Server) routes(before ...func(http.Handler) http.Handler) http.Handler {
	r := chi.NewRouter()
	r.Use(slashless)
	r.Use(before...)
	r.NotFound(s.serve(s.unknown))
	r.MethodNotAllowed(s.serve(s.wrongMethod))
	s.cross(r, "/send", http.MethodPost, s.send)
	s.cross(r, "/api/v1/email/send", http.MethodPost, s.sendEmail)
	s.cross(r, "/api/v1/email/status/{messageId}", http.MethodGet, s.status)
	s.cross(r, "/api/health", http.MethodGet, s.showHealth)
	s.get(r, "/health", s.showHealth)
	s.get(r, "/metrics", s.showMetrics)
	s.get(r, "/", s.home)
	if s.cfg.Development {
		s.get(r, "/captured", s.listCaptured)
		s.get(r, "/captured/{id}", s.showCaptured)
		s.get(r, "/captured/{id}/raw", s.rawCaptured)
		s.get(r, "/captured/{id}/html", s.htmlCaptured)
	}
	return r
}

func (s *Server) get(r chi.Router, pattern string, h handler) {
	r.Get(pattern, s.serve(h))
	r.Head(pattern, s.serve(h))
}

// withDefaults replaces every limit that is zero by its default.
func (c Config) withDefaults() Config {
	if c.Accounts == nil {
		c.Accounts = account.New(account.Config{}, slog.New(slog.DiscardHandler))
	}
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
	return web.Answer(w, http.StatusOK, struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{true, "This is Dinkymail: POST /send takes mail, GET /health tells whether it is well."})
}
