package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// MessageStatus is the answer of GET /api/v1/email/status/{messageId}.
type MessageStatus struct {
	Success    bool                `json:"success"`
	ID         queue.ID            `json:"id"`
	MessageID  string              `json:"messageId"`
	Status     queue.State         `json:"status"`
	Reason     string              `json:"reason,omitempty"` // why it is held, or what it waits for
	Timestamp  time.Time           `json:"timestamp"`        // of the last change
	Details    StatusDetails       `json:"details"`
	Recipients []operate.Recipient `json:"recipients"`
	Attempts   AttemptStatus       `json:"attempts"`
	Size       int64               `json:"size"`
	Accepted   time.Time           `json:"accepted"`
	Finished   *time.Time          `json:"finished,omitempty"`
	Tags       []string            `json:"tags,omitempty"`
	Metadata   map[string]string   `json:"metadata,omitempty"`
}

// StatusDetails says which mail it is. To has all recipients, separated by commas.
type StatusDetails struct {
	To      string `json:"to"`
	From    string `json:"from"`
	Subject string `json:"subject"`
}

// Entry is the same message as everything but this old address shows it, as far as the answer has
// it.
func (st *MessageStatus) Entry() operate.Entry {
	return operate.Entry{
		ID: st.ID, State: st.Status, Reason: st.Reason, From: st.Details.From, Recipients: st.Recipients,
		Subject: st.Details.Subject, MessageID: st.MessageID, Size: st.Size, Accepted: st.Accepted,
		Next: st.Attempts.Next, Finished: st.Finished, Attempts: st.Attempts.Count,
	}
}

// AttemptStatus sums up what was tried. Times that do not exist are left out.
type AttemptStatus struct {
	Count int        `json:"count"`
	Last  *time.Time `json:"last,omitempty"`
	Next  *time.Time `json:"next,omitempty"`
}

// status is GET /api/v1/email/status/{messageId}. It is not for visitors, whose mail is their own
// business and the owner's.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	who, err := s.callers.identify(r)
	if err != nil {
		return err
	}
	if who.rank == visitor {
		return refuse(operate.CodeNeedsKey, "Reading a mail's status needs a key from API_KEYS. "+
			"The caller counts as a visitor because it shows none and "+who.why+".")
	}
	id, err := idOf(r, "messageId")
	if err != nil {
		return err
	}
	m, err := s.queue.Get(id)
	if err != nil {
		return err
	}
	return web.Answer(w, http.StatusOK, s.statusOf(&m))
}

func (s *Server) statusOf(m *queue.Message) MessageStatus {
	e := operate.EntryOf(s.queue, m)
	st := MessageStatus{
		Success: true, ID: e.ID, MessageID: e.MessageID, Status: e.State, Reason: e.Reason, Timestamp: changed(m),
		Details:    StatusDetails{To: joined(m.Envelope.To), From: e.From, Subject: e.Subject},
		Recipients: e.Recipients,
		Attempts:   AttemptStatus{Count: e.Attempts, Next: e.Next},
		Size:       e.Size, Accepted: e.Accepted, Finished: e.Finished,
		Tags: m.Tags, Metadata: m.Metadata,
	}
	if n := len(m.History); n > 0 {
		st.Attempts.Last = &m.History[n-1].At
	}
	return st
}

// changed is when something last happened to a message.
func changed(m *queue.Message) time.Time {
	if !m.Finished.IsZero() {
		return m.Finished
	}
	if n := len(m.History); n > 0 {
		return m.History[n-1].At
	}
	return m.Accepted
}

func joined(to []message.Recipient) string {
	all := make([]string, len(to))
	for i, r := range to {
		all[i] = r.Address.String()
	}
	return strings.Join(all, ", ")
}

// idOf reads a queue ID from the path.
func idOf(r *http.Request, name string) (queue.ID, error) {
	text := chi.URLParam(r, name)
	if r.URL.RawPath != "" { // then the router matched the escaped path
		if plain, err := url.PathUnescape(text); err == nil {
			text = plain
		}
	}
	return operate.ParseID(text)
}
