package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dinkymail/internal/web"
	"dinkymail/message"
	"dinkymail/queue"
)

// HandIn is Submit with all that an envelope can say, under an ID that the caller made with queue.NewID. A mail with an ID that
// the appliance knows already is accepted and changes nothing, so that handing in again what was not answered is safe.
func (c *Client) HandIn(ctx context.Context, id queue.ID, e message.Envelope, body io.Reader) (answer SendResponse, err error) {
	query := url.Values{"id": {string(id)}, "from": {e.From.String()}}
	for _, r := range e.To {
		query.Add("to", r.Address.String())
		query.Add("notify", notifyWords(r.Notify))
		query.Add("orcpt", r.Original)
	}
	if e.Ret != "" {
		query.Set("ret", e.Ret)
	}
	if e.ID != "" {
		query.Set("envid", e.ID)
	}
	err = c.Fetch(ctx, http.MethodPost, submitPath+"?"+query.Encode(), "message/rfc822", body, &answer)
	return answer, err
}

// ahead is how much later than now the time in an ID may be: the clock may have been set back in between.
const ahead = time.Minute

// chosenID is the ID that a query gives, or a new one.
func chosenID(query url.Values) (queue.ID, error) {
	id := queue.ID(query.Get("id"))
	switch {
	case !query.Has("id"):
		return queue.NewID(), nil
	case !id.Valid() || time.Until(id.Time()) > ahead:
		return "", web.Malformed("id is none that an appliance gives.")
	}
	return id, nil
}

// parameters are the DSN parameters of the recipient at index i: of notify there is one for all, or one for each.
func parameters(query url.Values, i int) (r message.Recipient, err error) {
	if all := query["notify"]; len(all) > 0 {
		text := all[0]
		if len(all) > 1 {
			text = all[i]
		}
		n, ok := parseNotify(text)
		if !ok {
			return r, web.Malformed("notify is never, or some of success,failure,delay.")
		}
		r.Notify = n
	}
	if all := query["orcpt"]; len(all) > 0 {
		r.Original = all[i]
		kind, _, ok := strings.Cut(r.Original, ";")
		if r.Original != "" && (!ok || kind == "" || len(r.Original) > 500 || clean(r.Original) != r.Original) {
			return r, web.Malformed("orcpt is a type and an address with a semicolon between, such as rfc822;ada@example.com.")
		}
	}
	return r, nil
}
