package httpapi

import (
	"bytes"

	jsonv2 "github.com/go-json-experiment/json"
)

// quick reads a request in one pass, if it is written as programs write it: known names in small letters, each once, with values
// of the types that they should have. At anything else it returns false, and encoding/json has to read the request in several
// passes, or to say what is wrong with it. What quick reads is what encoding/json would read.
func quick(b []byte) (request, bool) {
	var r request
	if len(b) > smallBody && bytes.Count(b, []byte("{")) > 10*maxAttachments {
		return r, false // so many attachments would fill the memory before they are counted
	}
	err := jsonv2.Unmarshal(b, &r, jsonv2.RejectUnknownMembers(true))
	return r, err == nil && r.odd() == ""
}
