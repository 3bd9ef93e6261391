package postfix

import (
	"bufio"
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/internal/plain"
	"dinkymail/operate"
	"dinkymail/queue"
)

// Names of Postfix's queues.
const (
	incoming = "incoming"
	active   = "active"
	deferred = "deferred"
	hold     = "hold"
)

// queueOf is the queue of Postfix in which a message would be.
func queueOf(e *operate.Entry) string {
	switch {
	case e.State == queue.StateActive:
		return active
	case world.Frozen(e):
		return hold
	case e.State == queue.StateQueued && e.Reason == "":
		return incoming
	default:
		return deferred
	}
}

// noSender is what stands for the null reverse-path.
const noSender = "MAILER-DAEMON"

func sender(e *operate.Entry) string { return cmp.Or(e.From, noSender) }

// waiting are the recipients that are not settled, and why each of them waits. Those that nothing
// is known of come first, so that nobody takes the reason of others for theirs.
func waiting(e *operate.Entry) (recipients []operate.Recipient, reasons []string) {
	var known []operate.Recipient
	var why []string
	for _, r := range e.Recipients {
		if world.Settled(&r) {
			continue
		}
		if reason := reasonOf(e, &r); reason != "" {
			known, why = append(known, r), append(why, reason)
			continue
		}
		recipients, reasons = append(recipients, r), append(reasons, "")
	}
	return append(recipients, known...), append(reasons, why...)
}

// reasonOf is why a recipient waits: for the upstream as a whole, or because of what the next hop
// said.
func reasonOf(e *operate.Entry, r *operate.Recipient) string {
	switch {
	case e.State == queue.StateActive:
		return ""
	case e.Held == "" && e.Reason != "":
		return plain.Line(strings.TrimPrefix(e.Reason, "waits for the "+e.Lane+": ")) // Postfix says why alone
	case r.Code != 0:
		reply := strconv.Itoa(r.Code)
		if r.Status != "" {
			reply += " " + r.Status
		}
		return plain.Line(fmt.Sprintf("host %s said: %s %s", r.Remote, reply, r.Text))
	case r.Text != "":
		return plain.Line(r.Text)
	default:
		return plain.Line(e.Held)
	}
}

// columns is the report that people and most scripts read.
type columns struct {
	out   *bufio.Writer
	local func(time.Time) time.Time
	n     int
	bytes int64
}

// Widths of the report with long queue IDs. A reason ends at the same column wherever it is short
// enough.
const (
	heading       = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
	arrival       = "Mon Jan _2 15:04:05"
	endOfReason   = 76
	recipientsAt  = 47
	bytesPerKbyte = 1024
)

func (l *columns) message(e operate.Entry) {
	if l.n == 0 {
		fmt.Fprintln(l.out, heading)
	}
	l.n++
	l.bytes += e.Size
	id := string(e.ID)
	switch queueOf(&e) {
	case active:
		id += "*"
	case hold:
		id += "!"
	}
	fmt.Fprintf(l.out, "%-17s %8d %s %s\n", id, e.Size, l.local(e.Accepted).Format(arrival), sender(&e))
	said := ""
	recipients, reasons := waiting(&e)
	for i, r := range recipients {
		if reason := reasons[i]; reason != said {
			fmt.Fprintf(l.out, "%*s(%s)\n", max(0, endOfReason-len(reason)), "", reason)
			said = reason
		}
		fmt.Fprintf(l.out, "%*s%s\n", recipientsAt, "", r.Address)
	}
	fmt.Fprintln(l.out)
}

func (l *columns) end() {
	switch l.n {
	case 0:
		fmt.Fprintln(l.out, "Mail queue is empty")
	case 1:
		fmt.Fprintf(l.out, "-- %d Kbytes in 1 Request.\n", l.bytes/bytesPerKbyte)
	default:
		fmt.Fprintf(l.out, "-- %d Kbytes in %d Requests.\n", l.bytes/bytesPerKbyte, l.n)
	}
}

// objects is the report in JSON, one object a line, with blanks where postqueue has them.
type objects struct{ out *bufio.Writer }

func (l *objects) message(e operate.Entry) {
	fmt.Fprintf(l.out, `{"queue_name": %s, "queue_id": %s, "arrival_time": %d, "message_size": %d, "forced_expire": false, `+
		`"sender": %s, "recipients": [`, quote(queueOf(&e)), quote(string(e.ID)), e.Accepted.Unix(), e.Size, quote(sender(&e)))
	recipients, reasons := waiting(&e)
	for i, r := range recipients {
		if i > 0 {
			l.out.WriteString(", ")
		}
		fmt.Fprintf(l.out, `{"address": %s`, quote(r.Address))
		if reasons[i] != "" {
			fmt.Fprintf(l.out, `, "delay_reason": %s`, quote(reasons[i]))
		}
		l.out.WriteString("}")
	}
	l.out.WriteString("]}\n")
}

func (*objects) end() {}

// quote is a JSON string in which < and > stand for themselves.
func quote(text string) []byte {
	quoted, _ := world.Marshal(text) // a string can always be written
	return quoted
}
