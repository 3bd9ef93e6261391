package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"dinkymail/operate"
)

// largestRequest bounds the JSON of an operator's request: half a million IDs and room to spare.
const largestRequest = 64 << 20

// readJSON reads an operator's request into v. A field that is not known is refused: a filter with
// a typing mistake must not mean everything.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestRequest))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		return operate.Malformed("something stands behind the JSON object.")
	}
	if err == nil {
		return nil
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return operate.Refuse(operate.CodeTooLarge, operate.BadFormat+fmt.Sprintf("the request is larger than %d bytes.", largestRequest))
	}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return operate.Malformed(fmt.Sprintf("the field %q cannot be %s.", t.Field, t.Value))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return operate.Malformed("the JSON ends too early.")
	}
	return operate.Malformed(strings.TrimPrefix(err.Error(), "json: ") + ".")
}

// begun is an answer in text whose header is written with its first byte, so that an error before
// that is still an answer.
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

// end is the handler's result: the error while nothing was written, and a cut connection later, so
// that half an answer does not look like a whole one.
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
