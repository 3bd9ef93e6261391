package message

import (
	"html"
	"net/url"
	"strings"
)

// mentioned are those of the attachments' content IDs that the HTML refers to as "cid:…", where
// bytes may be percent-encoded.
func (d Draft) mentioned() map[string]bool {
	ids, all := make(map[string]bool), 0
	for _, a := range d.Attachments {
		if a.ContentID != "" && !ids[a.ContentID] {
			ids[a.ContentID] = true
			all++
		}
	}
	found := make(map[string]bool, all)
	for rest := d.HTML; len(found) < all; {
		colon := strings.IndexByte(rest, ':')
		if colon < 0 {
			break
		}
		scheme := rest[max(0, colon-3):colon]
		rest = rest[colon+1:]
		if !strings.EqualFold(scheme, "cid") {
			continue
		}
		for _, id := range readings(rest) {
			if ids[id] {
				found[id] = true
			}
		}
	}
	return found
}

// readings are what the text behind "cid:" can mean: the ID as it stands there, and without its
// encoding.
func readings(text string) [2]string {
	id := text[:min(len(text), 3*maxContentID)]
	if end := strings.IndexAny(id, "\"' \t\r\n<>)"); end >= 0 {
		id = id[:end]
	}
	plain, err := url.PathUnescape(html.UnescapeString(id))
	if err != nil {
		plain = id
	}
	return [2]string{id, plain}
}
