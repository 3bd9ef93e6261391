package httpapi

import (
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// accepted is the answer of POST /send.
type accepted struct {
	Success   bool     `json:"success"`
	Message   string   `json:"message"`
	ID        queue.ID `json:"id"`
	MessageID string   `json:"messageId"`
	Status    string   `json:"status"`
	Warnings  []string `json:"warnings,omitempty"`
}

// identity is what an accepted mail is known by.
type identity struct {
	id        queue.ID
	messageID string
}

// receipt is what became of a request.
type receipt struct {
	identity
	warnings []string // to a program: what was not understood
	form     *form    // nil when the request was JSON
}

// send is POST /send.
func (s *Server) send(w http.ResponseWriter, r *http.Request) error {
	got, err := s.take(w, r)
	if err != nil {
		return err
	}
	if got.form != nil && wantsFormPage(r) {
		return s.thank(w, r, got)
	}
	return web.Answer(w, http.StatusOK, accepted{true, "Email sent successfully", got.id, got.messageID, "queued", got.warnings})
}

// sendEmail is POST /api/v1/email/send, the same service under its other documented address.
func (s *Server) sendEmail(w http.ResponseWriter, r *http.Request) error {
	got, err := s.take(w, r)
	if err != nil {
		return err
	}
	if got.form != nil && wantsFormPage(r) {
		return s.thank(w, r, got)
	}
	return web.Answer(w, http.StatusOK, struct {
		Success   bool     `json:"success"`
		Message   string   `json:"message"`
		MessageID string   `json:"messageId"`
		Warnings  []string `json:"warnings,omitempty"`
	}{true, "Email queued for delivery", got.messageID, got.warnings})
}

// take puts the mail of a request into the queue. Its checks run in the order that the contract
// gives.
func (s *Server) take(w http.ResponseWriter, r *http.Request) (got receipt, err error) {
	who, err := s.callers.identify(r)
	if err != nil {
		return got, err
	}
	if err := s.callers.overRate(who); err != nil {
		return got, err
	}
	body, release, err := s.readBody(w, r)
	if err != nil {
		return got, err
	}
	defer release()
	q := new(request)
	kind, params := formKind(r.Header.Get("Content-Type"), body.Bytes())
	if kind != "" {
		err = q.parseForm(kind, params, body.Bytes())
	} else {
		err = q.parse(body.Bytes())
	}
	if err == nil {
		if body.Cap() > keepBuffer {
			*body = bytes.Buffer{} // what was read of it is a copy: from here on that is all a large request holds
		}
		got, err = s.accept(r, q, who)
	}
	if err != nil {
		return got, &shaped{err, kind != "" && wantsFormPage(r)}
	}
	return got, nil
}

// accept puts the mail of a request that was read into the queue.
func (s *Server) accept(r *http.Request, q *request, who caller) (got receipt, err error) {
	if err := s.settle(q, who, r); err != nil {
		return got, err
	}
	got.form = q.form
	if who.rank != visitor {
		got.warnings = q.warnings()
	}
	if q.form == nil {
		got.identity, err = s.queueUp(r, q, who)
		return got, err
	}
	got.identity, err = s.repeats.once(r.Context(), q.form.sumFor(who), func() (identity, error) { return s.queueUp(r, q, who) })
	return got, err
}

// queueUp makes the mail and puts it into the queue.
func (s *Server) queueUp(r *http.Request, q *request, who caller) (identity, error) {
	id := queue.NewID()
	draft, err := s.draft(q, who, id)
	if err != nil {
		return identity{}, err
	}
	if err := s.callers.countMail(r, who); err != nil {
		return identity{}, err
	}
	if err := s.submit(r, who, id, draft, q); err != nil {
		return identity{}, err
	}
	return identity{id, draft.MessageID}, nil
}

// draft turns a complete request into a mail that this caller may send.
func (s *Server) draft(q *request, who caller, id queue.ID) (message.Draft, error) {
	d := message.Draft{
		Subject: q.Subject,
		Text:    q.Body,
		HTML:    q.HTML.text,
		Headers: q.Headers,
		Date:    time.Now(),
		Domain:  s.domain(),
	}
	d.MessageID = "<" + string(id) + "@" + d.Domain + ">"
	if q.HTML.body {
		d.HTML, d.Text = q.Body, q.Text
	} else if d.Text == "" {
		d.Text = q.Text
	}
	if d.HTML != "" && blank(d.Text) {
		d.Text = "" // it is made from the HTML then
	}
	from, err := q.addresses(&d)
	if err != nil {
		return d, err
	}
	if err := s.permit(&d, from, q, who); err != nil {
		return d, err
	}
	if len(d.To) == 0 && who.rank == visitor && !s.cfg.DefaultTo.Address.IsNull() {
		d.To = []message.Mailbox{s.cfg.DefaultTo} // whatever FORM_RECIPIENTS lists: this is the owner's own word
	}
	if d.Attachments, err = attach(q.Attachments); err != nil {
		return d, err
	}
	if err := d.Validate(); err != nil {
		return d, invalid(err)
	}
	return d, nil
}

// domain is the right-hand side of our Message-IDs.
func (s *Server) domain() string {
	for _, d := range [...]string{s.cfg.Domain, s.cfg.Hostname} {
		if d != "" {
			return d
		}
	}
	return "localhost"
}

// addresses parses every address of the request into d, but for the sender, which it returns; nil
// when there is none.
func (q *request) addresses(d *message.Draft) (*message.Mailbox, error) {
	for _, f := range [...]struct {
		name string
		from []string
		to   *[]message.Mailbox
	}{{"to", q.To, &d.To}, {"cc", q.Cc, &d.Cc}, {"bcc", q.Bcc, &d.Bcc}, {"reply_to", q.ReplyTo, &d.ReplyTo}} {
		for _, text := range f.from {
			if strings.TrimSpace(text) == "" {
				continue
			}
			boxes, err := message.ParseMailboxes(text)
			if err != nil {
				return nil, operate.BadAddress(f.name, text, err)
			}
			if bare := nowhere(boxes); bare != "" {
				return nil, operate.BadAddress(f.name, text, &message.AddressError{Input: bare, Reason: "it has no domain"})
			}
			*f.to = append(*f.to, boxes...)
		}
	}
	if strings.TrimSpace(q.From) == "" {
		return nil, nil
	}
	from, err := message.ParseMailbox(q.From)
	if err == nil && nowhere([]message.Mailbox{from}) != "" {
		err = &message.AddressError{Input: q.From, Reason: "it has no domain"}
	}
	if err != nil {
		return nil, operate.BadAddress("from", q.From, err)
	}
	return &from, nil
}

// nowhere is the first address without a domain: RFC 5321 knows <postmaster>, but mail from here
// goes to a place.
func nowhere(boxes []message.Mailbox) string {
	for _, b := range boxes {
		if b.Address.Domain == "" {
			return b.Address.String()
		}
	}
	return ""
}

// invalid says why a draft cannot become a mail.
func invalid(err error) *operate.Error {
	return refuse(operate.CodeMessage, "The mail cannot be composed: "+strings.ReplaceAll(err.Error(), "\n", "; ")+".")
}

// submit composes the mail and hands it to the queue.
func (s *Server) submit(r *http.Request, who caller, id queue.ID, d message.Draft, q *request) error {
	notBefore, err := sendAt(q.SendAt, d.Date)
	if err != nil {
		return err
	}
	sub := queue.Submission{
		ID:        id,
		Envelope:  d.Envelope(),
		Trace:     message.Trace{Client: ip(who.client), Protocol: "HTTP", TLS: tlsOf(r), User: who.user.Name},
		Origin:    queue.Origin{Door: who.door(), Client: who.address, User: who.user.Name},
		NotBefore: notBefore,
		Tags:      q.Tags,
		Metadata:  q.Metadata,
	}
	if len(sub.Envelope.To) == 1 && len(d.Bcc) == 0 {
		sub.Trace.For = sub.Envelope.To[0].Address
	}
	body, done := s.compose(d)
	defer done()
	sub.Body = body
	_, err = s.queue.Submit(r.Context(), sub)
	return err
}

func ip(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
