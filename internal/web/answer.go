package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
)

// answerHeader is what stands above every answer in JSON. Its values are shared, and nobody changes them.
var answerHeader = http.Header{
	"Content-Type": {"application/json"}, "X-Content-Type-Options": {"nosniff"}, "Cache-Control": {"no-store"},
}

// Answer writes v as JSON. A client that is gone is no error: nobody is left to tell.
func Answer(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a Message-ID keeps its brackets; nosniff keeps browsers from reading this as HTML
	if err := e.Encode(v); err != nil {
		return err
	}
	header := w.Header()
	maps.Copy(header, answerHeader)
	header["Content-Length"] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}
