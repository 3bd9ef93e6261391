package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"dinkymail/cli/world"
	"dinkymail/operate"
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
	1: "failed", world.ExitUsage: "usage", world.ExitData: "damaged", world.ExitNoInput: "not_found", world.ExitUnavailable: "unavailable",
	world.ExitSoftware: "internal_error", world.ExitCantCreate: "cannot_create", world.ExitInput: "incomplete", world.ExitTempFail: "try_later",
	world.ExitNoPermission: "no_permission", world.ExitConfig: "config",
}

// outcomeOf tells how a command ended.
func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{Success: true}
	}
	o := outcome{Exit: world.Status(err, world.ExitSoftware)}
	o.Code = cmp.Or(exitWords[o.Exit], exitWords[1])
	if api, ok := errors.AsType[*operate.Error](err); ok && api.Code != "" {
		o.Code = string(api.Code)
	}
	if !world.Said(err) {
		o.Message = strings.TrimRight(err.Error(), "\r\n")
	}
	return o
}

// report prints an error as sentences, one line for each that is joined in it, and returns its exit
// status.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if !world.Said(err) {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(w, "dinkymail: %s\n", strings.TrimRight(line, "\r\n"))
		}
	}
	return world.Status(err, world.ExitSoftware)
}

// wantsJSON reports whether a command line asks for JSON, be it right or wrong. A command that is
// another program has options of its own.
func wantsJSON(args []string, parsed *kong.Context) bool {
	if parsed != nil && parsed.Selected() != nil && parsed.Selected().Passthrough {
		return false
	}
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
}

// finish prints the object of a command that was told --json, tells an error on standard error, and
// returns the exit status.
func (p *program) finish(err error) int {
	switch {
	case p.printed == nil:
	case world.Said(err):
		err = p.printed
	default:
		err = errors.Join(p.printed, err)
	}
	if p.json && (err != nil || p.result != nil) {
		err = errors.Join(err, p.printResult(outcomeOf(err)))
	}
	return report(p.Err, err)
}

// printResult prints how a command ended, and what it has to tell in the same object.
func (p *program) printResult(o outcome) error {
	text, err := world.Marshal(p.result)
	if err != nil {
		return err
	}
	members, isObject := membersOf(text)
	if isObject || !o.Success {
		named := func(m member) bool { return m.name == "message" }
		if i := slices.IndexFunc(members, named); i >= 0 && !o.Success && o.Message == "" {
			_ = json.Unmarshal(members[i].value, &o.Message) // no text is no message
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
func (o outcome) before(members []member) ([]byte, error) {
	head, err := world.Marshal(o)
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
		name, err := world.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		object = append(append(append(append(object, ','), name...), ':'), m.value...)
	}
	return append(object, '}'), nil
}

// member is one of what an object has, in its order.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf takes an object apart; ok is false for anything else.
func membersOf(text []byte) (found []member, ok bool) {
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
