package httpapi

import (
	"strings"
	"testing"
	"time"
)

// A request made to be slow to read is not, and one of many small things fills no memory.
func TestCrowdedRequestsAreQuick(t *testing.T) {
	const n = 200_000
	part := "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n"
	for name, c := range map[string][2]string{
		"pairs":        {formURL, "message=m" + strings.Repeat("&a=b", n)},
		"empty pairs":  {formURL, "message=m" + strings.Repeat("&", n)},
		"recipients":   {formURL, "message=m" + strings.Repeat("&to=owner@example.com", n/10)},
		"text fields":  {formText, "message=m" + strings.Repeat("\r\na=", n)},
		"empty lines":  {formText, "message=m" + strings.Repeat("\r\n", n) + "x"},
		"parts":        {"multipart/form-data; boundary=x", strings.Repeat(part, n/10) + "--x--"},
		"dashes":       {"multipart/form-data; boundary=x", part[:len(part)-3] + strings.Repeat("\r\n--", n) + "\r\n--x--"},
		"members":      {"", `{"subject":"s","body":"b"` + strings.Repeat(`,"a":1`, n) + "}"},
		"messages":     {"", `{"subject":"s","body":"b"` + strings.Repeat(`,"message":"m"`, n) + "}"},
		"list":         {"", `{"subject":"s","body":"b","x":[` + strings.Repeat(`1,`, n) + "1]}"},
		"attachments":  {"", `{"subject":"s","body":"b","attachments":[` + strings.Repeat(`{},`, n) + "{}]}"},
		"attachments2": {"", `{"subject":"s","body":"b","x":1,"attachments":[` + strings.Repeat(`{"a":1},`, n) + "{}]}"},
	} {
		begun := time.Now()
		w := serveOne(New(new(memory), outside(t), discard), "POST", "/send", c[1], "Content-Type: "+c[0])
		if took := time.Since(begun); took > 3*time.Second || w.Code >= 500 {
			t.Errorf("%s: %d after %v", name, w.Code, took)
		} else {
			t.Logf("%s: %d after %v", name, w.Code, took)
		}
	}
}
