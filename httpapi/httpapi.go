// Package httpapi takes mail in over HTTP: from a website's contact form, from applications with a key and from programs on
// this machine. It also answers what became of a mail, whether the appliance is well, and shows captured mail in development.
// Over a Unix socket it is the operator's way to the queue too, and the way in for sendmail; its Client is what the commands use.
//
// # What it promises
//
// A success means that the mail is on the disk. A visitor, which is everybody without a key who is not on this machine, can
// only write to the owner of the appliance: to FormRecipients, from DefaultFrom, a few times a minute. A page of a foreign
// origin is refused before its request is read; hiding the answer, which is all that CORS does, would not stop the mail. A
// name that somebody else points at this machine (DNS rebinding) does not make a caller a program on this machine, and
// neither does a reverse proxy that runs on it, as long as it or the browser before it shows itself. What an upstream server said is never shown to a visitor. The operator's part
// exists on the control socket alone, and whoever may open that socket may do everything; the submit socket only takes mail in,
// from whom the kernel says it is. On TCP neither is there. The zero Config trusts nobody and lets nobody send.
//
// # Limits
//
// Every request has a time, a header size and a body size within which it must stay, and all bodies together stay within
// Config.MaxBuffered. Connections are limited in all and per client, requests per client behind a proxy; the last places are for
// programs on this machine. A body that nobody needs is not waited for. A panic costs its own request only. Over a Unix socket an
// answer may take as long as it likes; there the limits are connections per user, a header of 1 MiB, which is room for the
// recipients of some 15,000 addresses, and the bodies named in the handlers.
//
// # Who runs where
//
// Serve blocks; net/http runs a goroutine per connection, and one more copies a large mail into the queue while it is being
// composed. When Serve has returned, none of them is left. Handlers share no state but the rate limiter, the requests in flight
// by client, what the log was told of, the health memory, the room for bodies, the newest forms and the counters, each safe by itself.
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
	"dinkymail/queue"
)

// Queue is what the API needs of *queue.Queue. The operator's part is needed by the control socket alone.
type Queue interface {
	Operations
	Submit(ctx context.Context, s queue.Submission) (queue.ID, error)
	Get(id queue.ID) (queue.Message, error)
	List(ctx context.Context, filter queue.Filter, after queue.ID, limit int) ([]queue.Message, error)
	Body(id queue.ID) (io.ReadSeekCloser, error)
	State(m *queue.Message) (queue.State, string)
	Status() queue.Status
	Meters() queue.Meters
	Check() error
}

// Operations are what an operator does to the queue and sees of it.
type Operations interface {
	Select(ctx context.Context, sel queue.Selection, after queue.ID, limit int) (queue.Page, error)
	Lane(m *queue.Message) string
	Active(id queue.ID) bool
	Expires(m *queue.Message) time.Time
	Watch(ctx context.Context) <-chan queue.Event

	Hold(id queue.ID, reason string) error
	Release(id queue.ID) error
	Retry(id queue.ID) error
	Remove(id queue.ID, at time.Time) error
	Restore(id queue.ID) error
	LastRemoved(ctx context.Context) ([]queue.ID, error)
	Bounce(id queue.ID, reason string) error
	Redirect(id queue.ID, to message.Address) error
	EditRecipients(id queue.ID, add, drop []message.Address) error
	Pause(what, reason, by string) error
	Resume(what string) error
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
	// Machine is this machine's own name, which a sender over a Unix socket without a domain belongs to.
	Machine string
	// Log writes the kept log lines that name a message; nil: none are kept.
	Log func(ctx context.Context, id string, w io.Writer) error
	// Backup writes a copy of the whole queue; nil: there is no such route.
	Backup func(ctx context.Context, w io.Writer) error
	// Settings is what the operator sees and reloads of the settings; nil: nothing.
	Settings Settings
	// Vitals is what the metrics tell of the machine; nil: nothing.
	Vitals func() Vitals

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
	cfg        Config
	callers    *callers
	handler    http.Handler
	control    http.Handler
	submitOnly http.Handler
}

// lasting is what stays the same when the settings change.
type lasting struct {
	latest  atomic.Pointer[Server] // answers the requests that come now
	queue   Queue
	log     *slog.Logger
	health  health
	noise   noise
	foreign foreign
	bodies  bodies
	proxies proxies
	crowd   gate.Counter[netip.Prefix] // requests in flight of each client behind a proxy: the connections are the proxy's
	turned  atomic.Int64               // when a stranger was last turned away for want of a place
	repeats repeats
	metrics *metrics
	started time.Time
}

// New makes a Server. It opens and starts nothing. Entries of AllowedHosts and FormRecipients that make no sense match
// nothing; ParseOrigins and account.ParseAddresses tell which those are.
func New(q Queue, cfg Config, log *slog.Logger) *Server {
	l := &lasting{queue: q, log: log, started: time.Now()}
	l.health.queue = q
	l.noise.init()
	l.metrics = newMetrics(q, cfg.Version, l.vitals)
	s := l.server(cfg, nil)
	l.bodies.left.Store(s.cfg.MaxBuffered)
	l.latest.Store(s)
	return s
}

// Use makes cfg the settings of all requests that come from now on, whichever Server of this queue they come through. Requests in
// flight end as they began. Times, MaxConnections, MaxHeaderBytes and Listening stay; what clients have used up of FormRate stays
// used up unless FormRate is another.
func (s *Server) Use(cfg Config) {
	old := s.latest.Load()
	cfg.MaxConnections, cfg.MaxHeaderBytes, cfg.Listening = old.cfg.MaxConnections, old.cfg.MaxHeaderBytes, old.cfg.Listening
	fresh := s.server(cfg, old.callers)
	s.bodies.left.Add(fresh.cfg.MaxBuffered - old.cfg.MaxBuffered)
	s.latest.Store(fresh)
}

// server answers with the settings of cfg. It goes on counting where callers, which may be nil, did.
func (l *lasting) server(cfg Config, before *callers) *Server {
	cfg = cfg.withDefaults()
	s := &Server{lasting: l, cfg: cfg, callers: newCallers(cfg)}
	if before != nil && before.cfg.FormRate == cfg.FormRate {
		s.callers.limit = before.limit
	}
	s.handler = s.routes()
	s.control = s.controlRoutes()
	s.submitOnly = s.submitRoutes()
	return s
}

// vitals is what the queue needs besides itself, as far as it is known.
func (l *lasting) vitals() Vitals {
	if of := l.latest.Load().cfg.Vitals; of != nil {
		return of()
	}
	return Vitals{}
}

// Handler is the API as it is served on TCP, without the limits that belong to a listener.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.latest.Load().handler.ServeHTTP(w, r) })
}

// Control is the API with the operator's part. Whoever may call it may do everything.
func (s *Server) Control() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.latest.Load().control.ServeHTTP(w, r) })
}

// submitDoor is what ServeSubmit serves.
func (s *Server) submitDoor() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.latest.Load().submitOnly.ServeHTTP(w, r) })
}

func (s *Server) routes() http.Handler {
	r := s.router(slashless, s.forwarded, s.watch, s.admit)
	s.mail(r)
	return r
}

// router has no routes yet and tells what it does not know.
func (s *Server) router(before ...func(http.Handler) http.Handler) chi.Router {
	r := chi.NewRouter()
	r.Use(before...)
	r.NotFound(s.serve(s.unknown))
	r.MethodNotAllowed(s.serve(s.wrongMethod))
	return r
}

// mail mounts what is there on TCP and on the control socket.
func (s *Server) mail(r chi.Router) {
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
