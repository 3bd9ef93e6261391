package httpapi

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"dinkymail/operate"
	"dinkymail/queue"
)

// formPage is what the pages that answer a form show.
type formPage struct {
	ID       queue.ID
	Back     string // the page with the form; empty when it is not known
	Warnings []string
	Reason   string
	Code     operate.Code
	Advice   string
}

// What the page that refuses a form advises.
const (
	adviseChange = "Go back with your browser, where what you wrote is still there, change it and send it again."
	adviseLater  = "Nothing is wrong with what you wrote. Go back with your browser in a moment and send it again."
	adviseOwner  = "Nothing is wrong with what you wrote: the website has to be mended. Please tell whoever runs it. " +
		"Go back with your browser to find your text."
)

// advice is what a person who was refused a form can do.
func advice(p *operate.Error) string {
	switch p.Code {
	case operate.CodeOrigin, operate.CodeRecipient, operate.CodeField, operate.CodeKey, operate.CodeMethod, operate.CodeMissingTo, operate.CodeMissingFrom, operate.CodeSender, operate.CodeEncoding:
		return adviseOwner
	}
	if p.Retry > 0 || p.Code.Status() >= http.StatusInternalServerError {
		return adviseLater
	}
	return adviseChange
}

// shaped is an error whose answer has a shape that does not follow from the header alone.
type shaped struct {
	error
	page bool // for people, not for programs
}

func (e *shaped) Unwrap() error { return e.error }

// isShownAsPage reports whether the answer to a request that failed is for people: a browser posted
// a form that was one, or sent a form with GET by mistake.
func isShownAsPage(r *http.Request, err error) bool {
	if e, ok := errors.AsType[*shaped](err); ok {
		return e.page
	}
	if r.URL.Path != sendPath && r.URL.Path != emailPath || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return (r.Method == http.MethodGet || kind == formURL || kind == formParts || kind == formText) && wantsFormPage(r)
}

// wantsFormPage reports whether who posted a form is to see a page. A browser that leaves its page
// for the answer says that it takes HTML; scripts on a page take anything, and say JSON when they
// mean it. Who says nothing at all is a plain client.
func wantsFormPage(r *http.Request) bool {
	accept := strings.ToLower(strings.Join(r.Header["Accept"], ","))
	page, program := strings.Index(accept, "text/html"), strings.Index(accept, "json")
	switch {
	case page >= 0:
		return program < 0 || page < program
	case accept != "" || r.Header.Get("X-Requested-With") != "":
		return false
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// thank leads the browser that posted a form to the page that the form names, or thanks.
func (s *Server) thank(w http.ResponseWriter, r *http.Request, got receipt) error {
	w.Header().Add("Vary", "Accept")
	if next := s.destination(r, got.form.next); next != "" {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", next)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	return showPage(w, http.StatusOK, "sent", formPage{ID: got.id, Back: s.destination(r, r.Referer()), Warnings: got.warnings})
}

// showRefusal says to a person why a form was refused.
func (s *Server) showRefusal(w http.ResponseWriter, r *http.Request, p *operate.Error) error {
	w.Header().Add("Vary", "Accept")
	return showPage(w, p.Code.Status(), "refused", formPage{
		Back: s.destination(r, r.Referer()), Reason: operate.Upper(p.Reason()), Code: p.Code, Advice: advice(p),
	})
}

// maxLocation bounds the address of a page, in bytes.
const maxLocation = 2000

// destination is the address of a page of an allowed origin; relative ones are below the page with
// the form. It is empty for any other address, so that nobody is led elsewhere by us.
func (s *Server) destination(r *http.Request, address string) string {
	if address == "" || len(address) > maxLocation {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if !u.IsAbs() {
		page, err := url.Parse(r.Referer())
		if err != nil {
			return ""
		}
		u = page.ResolveReference(u)
	}
	if u.User != nil || u.Host == "" || !s.callers.origins.Allow(u.Scheme+"://"+u.Host) {
		return ""
	}
	return u.String()
}
