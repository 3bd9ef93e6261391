package world

import (
	"bytes"
	"encoding/json"
	"io"
)

// JSON writes values to w, in which < and & stay as they are.
func JSON(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// Marshal is v as JSON on one line.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := JSON(&b).Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
