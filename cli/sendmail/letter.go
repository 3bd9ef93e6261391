package sendmail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/message"
)

// maxReceived is how many Received fields a mail may have; the appliance refuses more of them.
const maxReceived = 50

// letter is a mail as it was read, kept until somebody took it.
type letter struct {
	text   *spool
	fields []field
	body   int64  // where it begins in text
	extra  []byte // fields of ours
	mended changes
}

// field is one of the header's, with all its lines.
type field struct {
	name  string // in small letters
	value string // unfolded
	raw   []byte
}

// read takes a mail in, of at most limit bytes where that is above zero. With dot, a line with
// nothing but a dot ends it.
func read(in io.Reader, dot bool, limit int64) (*letter, error) {
	l := &letter{text: &spool{limit: limit}}
	var err error
	l.mended, err = normalise(in, l.text, dot)
	if err == nil {
		err = l.split()
	}
	if err != nil {
		l.close()
		return nil, err
	}
	if note := l.mended.String(); note != "" {
		l.add("X-Dinkymail-Note", note)
	}
	return l, nil
}

func (l *letter) close() { l.text.close() }

// add puts a field to the end of the header.
func (l *letter) add(name, value string) {
	l.extra = fmt.Appendf(l.extra, "%s: %s\r\n", name, value)
}

// has reports whether there is a field of this name, in small letters.
func (l *letter) has(name string) bool {
	return slices.ContainsFunc(l.fields, func(f field) bool { return f.name == name })
}

// reader gives the whole mail from its beginning.
func (l *letter) reader() io.Reader {
	var head []byte
	for _, f := range l.fields {
		head = append(head, f.raw...)
	}
	head = append(append(head, l.extra...), "\r\n"...)
	return io.MultiReader(bytes.NewReader(head), l.text.from(l.body))
}

// split finds the header.
func (l *letter) split() error {
	in := bufio.NewReader(l.text.from(0))
	var at int64
	received, mbox := 0, false
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		name, isField := fieldName(line)
		switch {
		case len(line) > 0 && len(l.fields) == 0 && !isField && isMbox(line):
			mbox = true
			at += int64(len(line))
			continue
		case isField:
			l.fields = append(l.fields, field{name: name, raw: line})
			if name == "received" {
				received++
			}
		case len(l.fields) > 0 && len(line) > 0 && (line[0] == ' ' || line[0] == '\t'):
			f := &l.fields[len(l.fields)-1]
			f.raw = append(f.raw, line...)
		default:
			l.endFields()
			if l.body = at; bytes.Equal(line, []byte("\r\n")) {
				l.body += 2
			}
			if mbox && len(l.fields) == 0 {
				l.body = 0 // text that begins with "From ", and no header at all
			}
			l.unfold()
			if received > maxReceived {
				return world.Failf(world.ExitData, "the mail goes in circles: it has more than %d Received fields", maxReceived)
			}
			return nil
		}
		if at += int64(len(line)); at > message.MaxHeader-64<<10 { // room for the fields that are added
			return world.Failf(world.ExitData, "the header of the mail is larger than 960 KiB")
		}
	}
}

// endFields takes lines of white space off the last field: they were meant for the empty line
// behind it.
func (l *letter) endFields() {
	if len(l.fields) == 0 {
		return
	}
	f := &l.fields[len(l.fields)-1]
	for {
		last := bytes.LastIndexByte(f.raw[:len(f.raw)-1], '\n') + 1
		if last == 0 || len(bytes.TrimSpace(f.raw[last:])) > 0 {
			return
		}
		f.raw = f.raw[:last]
	}
}

// readLine reads one line of what normalise wrote; nothing at the end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > message.MaxHeader:
			return line, nil
		}
	}
}

// isMbox reports whether a line separates mails in a mailbox file.
func isMbox(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// fieldName is what stands before the colon, in small letters, if the line begins a field.
func fieldName(line []byte) (string, bool) {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", false
	}
	return strings.ToLower(string(name)), true
}

// unfold fills in the fields' values.
func (l *letter) unfold() {
	for i, f := range l.fields {
		_, value, _ := strings.Cut(string(f.raw), ":")
		l.fields[i].value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))
	}
}

// recipients are those that the header names: of the latest resending, if it was resent.
func (l *letter) recipients() ([]message.Address, error) {
	prefix, seen := "", map[string]bool{}
	if slices.ContainsFunc(l.fields, func(f field) bool { return strings.HasPrefix(f.name, "resent-") }) {
		prefix = "resent-"
	}
	var all []message.Address
	for _, f := range l.fields {
		name, ours := strings.CutPrefix(f.name, prefix)
		if prefix != "" && ours {
			if seen[name] {
				break // the fields of one resending are each there once; these are of one before
			}
			seen[name] = true
		}
		if !ours || name != "to" && name != "cc" && name != "bcc" {
			continue
		}
		list, err := addresses(f.value)
		if err != nil {
			return nil, fmt.Errorf("the field %s: %w", string(f.raw[:len(f.name)]), err)
		}
		all = append(all, list...)
	}
	return all, nil
}
