package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"dinkymail/operate"

	"github.com/alecthomas/kong"
)

// outcome begins the object that a command prints with --json. Success is true exactly where the
// exit status is 0; the other fields are there only where it is not.
type outcome struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"` // what standard error says
	Code    string `json:"code,omitempty"`    // of the API where that refused, else the word of the exit status
	Exit    int    `json:"exit,omitempty"`    // the exit status
}

// exitWords are the codes of what failed for another reason than the API's.
var exitWords = map[int]string{
	1: "failed", ExitUsage: "usage", exitData: "damaged", ExitNoInput: "not_found", ExitUnavailable: "unavailable",
	ExitSoftware: "internal_error", ExitCantCreate: "cannot_create", exitInput: "incomplete", ExitTempFail: "try_later",
	ExitNoPermission: "no_permission", ExitConfig: "config",
}

// outcomeOf tells how a command ended.
func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{Success: true}
	}
	o := outcome{Exit: exitStatus(err)}
	o.Code = exitWords[o.Exit]
	if o.Code == "" {
		o.Code = exitWords[1]
	}
	if api, ok := errors.AsType[*operate.Error](err); ok && api.Code != "" {
		o.Code = string(api.Code)
	}
	if !said(err) {
		o.Message = strings.TrimRight(err.Error(), "\r\n")
	}
	return o
}

// exitStatus is the exit status that an error means.
func exitStatus(err error) int {
	if exit, ok := errors.AsType[*Exit](err); ok {
		return exit.Code
	}
	return ExitSoftware
}

// said reports whether nothing is left to say of an error.
func said(err error) bool {
	exit, ok := errors.AsType[*Exit](err)
	return ok && exit.Err == nil
}

// wantsJSON reports whether a command line asks for JSON, be it right or wrong. A command that is
// another program has options of its own.
func wantsJSON(args []string, parsed *kong.Context) bool {
	if parsed != nil && parsed.Selected() != nil && parsed.Selected().Passthrough {
		return false
	}
	for _, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "--json" || arg == "--json=true" {
			return true
		}
	}
	return false
}

// finish prints the object of a command that was told --json, tells an error on standard error, and
// returns the exit status.
func (p *program) finish(err error) int {
	if p.json && (err != nil || p.result != nil) {
		err = errors.Join(err, p.printResult(outcomeOf(err)))
	}
	return report(p.Err, err)
}

// printResult prints how a command ended, and what it has to tell in the same object.
func (p *program) printResult(o outcome) error {
	text, err := marshal(p.result)
	if err != nil {
		return err
	}
	members, isObject := membersOf(text)
	if isObject || !o.Success {
		if own, ok := members.get("message"); ok && !o.Success && o.Message == "" {
			_ = json.Unmarshal(own, &o.Message) // no text is no message
		}
		if text, err = o.before(members); err != nil {
			return err
		}
	}
	if p.lines {
		_, err = p.Out.Write(append(text, '\n'))
		return err
	}
	return p.printJSON(json.RawMessage(text))
}

// before is an object with the outcome and behind it all members that it has not itself.
func (o outcome) before(members members) ([]byte, error) {
	head, err := marshal(o)
	if err != nil {
		return nil, err
	}
	object := bytes.TrimSuffix(head, []byte("}"))
	for _, m := range members {
		switch m.name {
		case "success":
			continue
		case "message", "code", "exit":
			if !o.Success {
				continue
			}
		}
		name, err := marshal(m.name)
		if err != nil {
			return nil, err
		}
		object = append(append(append(append(object, ','), name...), ':'), m.value...)
	}
	return append(object, '}'), nil
}

// members are what an object has, in its order.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

func (m members) get(name string) (json.RawMessage, bool) {
	for _, one := range m {
		if one.name == name {
			return one.value, true
		}
	}
	return nil, false
}

// membersOf takes an object apart; ok is false for anything else.
func membersOf(text []byte) (found members, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		t, err := d.Token()
		name, isName := t.(string)
		one := member{name: name}
		if err != nil || !isName || d.Decode(&one.value) != nil {
			return nil, false
		}
		found = append(found, one)
	}
	return found, true
}

// marshal is v as JSON on one line, in which < and & stay as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
