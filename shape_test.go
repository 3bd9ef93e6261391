package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A message is the same object wherever it is shown: what two of them both have is equal.
func TestOneShapeOfAMessage(t *testing.T) {
	for _, mode := range []string{"ENVIRONMENT=development", "ENVIRONMENT=production"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			a := start(t, dir, "MAIL_DOMAIN=example.org", mode)
			if mode == "ENVIRONMENT=production" {
				a.verb(dir, "pause", "upstream") // so that nothing changes between two looks
			}
			events := a.events()
			id := a.send("look at me")
			shown := map[string]map[string]any{
				"queue":  a.verb(dir, "queue", "--all"),
				"show":   a.verb(dir, "show", id),
				"sample": a.verb(dir, "purge", id)["sample"].([]any)[0].(map[string]any),
				"watch":  events(id),
				"status": nil,
				"list":   a.socket("POST", "/api/v1/queue/list", `{"all":true}`)["messages"].([]any)[0].(map[string]any),
				"one":    a.socket("GET", "/api/v1/queue/messages/"+id, ""),
			}
			_, shown["status"] = a.call("GET", "/api/v1/email/status/"+id, "")
			delete(shown["status"], "attempts") // the old address has an object of its own there
			if mode == "ENVIRONMENT=development" {
				_, list := a.call("GET", "/captured", "")
				shown["captured"] = list["messages"].([]any)[0].(map[string]any)
				_, shown["captured, one"] = a.call("GET", "/captured/"+id, "")
			}
			for name, one := range shown {
				for field, value := range one {
					if other, ok := shown["show"][field]; ok && !reflect.DeepEqual(value, other) {
						t.Errorf("%s: %s is %v, and %v in show", name, field, value, other)
					}
				}
				for field := range shown["queue"] {
					if _, ok := one[field]; !ok && name != "watch" && name != "status" {
						t.Errorf("%s has no %s", name, field)
					}
				}
			}
			sent := a.verb(dir, "send-test", "bob@example.net")
			again := a.verb(dir, "show", sent["id"].(string))
			for field, value := range sent {
				if field != "success" && !reflect.DeepEqual(value, again[field]) {
					t.Errorf("send-test: %s is %v, and %v in show", field, value, again[field])
				}
			}
		})
	}
}

// verb runs a command with --json and reads the first object that it prints.
func (a *appliance) verb(dir string, args ...string) (found map[string]any) {
	a.t.Helper()
	var out, errs strings.Builder
	code := run(a.t.Context(), append(append([]string{"dinkymail"}, args...), "--json"), strings.NewReader(""), &out, &errs,
		[]string{"DATA_DIR=" + filepath.Join(dir, "data")})
	if err := json.NewDecoder(strings.NewReader(out.String())).Decode(&found); err != nil || code != 0 {
		a.t.Fatalf("%v: exit status %d, %v: %s%s", args, code, err, out.String(), errs.String())
	}
	return found
}

// ask sends a request over the control socket.
func (a *appliance) ask(method, path, body string) *http.Response {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", a.ports["control"])
	}}}
	resp, err := client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (a *appliance) socket(method, path, body string) (answer map[string]any) {
	a.t.Helper()
	if err := json.NewDecoder(a.ask(method, path, body).Body).Decode(&answer); err != nil {
		a.t.Fatal(err)
	}
	return answer
}

// events watches from now on, and finds the first event of a message.
func (a *appliance) events() func(id string) map[string]any {
	lines := json.NewDecoder(a.ask("GET", "/api/v1/events", "").Body)
	return func(id string) map[string]any {
		for {
			var event map[string]any
			if err := lines.Decode(&event); err != nil {
				a.t.Fatal(err)
			}
			if event["id"] == id {
				return event
			}
		}
	}
}
