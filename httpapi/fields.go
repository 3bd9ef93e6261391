package httpapi

import (
	"cmp"
	"strings"
)

// fieldTypes are the fields of a request by their own names, what each must be, and where it goes.
var fieldTypes = [...]struct {
	name, what string
	at         func(*request) any
}{
	{"to", stringOrList, func(q *request) any { return list{&q.To} }},
	{"cc", stringOrList, func(q *request) any { return list{&q.Cc} }},
	{"bcc", stringOrList, func(q *request) any { return list{&q.Bcc} }},
	{"reply_to", stringOrList, func(q *request) any { return list{&q.ReplyTo} }},
	{"from", "a string", func(q *request) any { return &q.From }},
	{"subject", "a string", func(q *request) any { return &q.Subject }},
	{"body", "a string", func(q *request) any { return &q.Body }},
	{"text", "a string", func(q *request) any { return &q.Text }},
	{"html", "true, false or a string", func(q *request) any { return &q.HTML }},
	{"send_at", "a string", func(q *request) any { return &q.SendAt }},
	{"headers", "an object of strings", func(q *request) any { return &q.Headers }},
	{"attachments", "an array of objects of strings", func(q *request) any { return &q.Attachments }},
	{"tags", "an array of strings", func(q *request) any { return &q.Tags }},
	{"metadata", "an object of strings", func(q *request) any { return &q.Metadata }},
}

// list is a field with one text or several.
type list struct{ texts *[]string }

const stringOrList = "a string or an array of strings"

// spellings are further names of fields, squashed, as other services and form builders call them.
var spellings = map[string]string{
	"replyto": "reply_to", "_replyto": "reply_to", "h:replyto": "reply_to", "sendat": "send_at", "_subject": "subject",
	"textbody": "text", "bodytext": "text", "textcontent": "text", "plaintext": "text", "plain": "text",
	"htmlbody": "html", "bodyhtml": "html", "htmlcontent": "html", "ishtml": "html", "isbodyhtml": "html",
}

// saysWhether are the spellings of html that are only a flag.
var saysWhether = map[string]bool{"ishtml": true, "isbodyhtml": true}

// What a name that looks like one of these fields would have changed.
const (
	forSchedule    = "the time before which the mail stays here goes into \"send_at\", as in RFC 3339"
	forBcc         = "hidden recipients go into \"bcc\""
	forCc          = "further recipients go into \"cc\""
	forAttachments = "files go into \"attachments\", an array of objects with \"filename\" and \"content\" in base64"
)

// altering are the names, squashed, that are none of a request and whose loss would change what is
// delivered, when or to whom.
var altering = map[string]string{
	"schedule": forSchedule, "scheduled": forSchedule, "scheduledat": forSchedule, "scheduleat": forSchedule,
	"scheduledfor": forSchedule, "schedulefor": forSchedule, "scheduledtime": forSchedule, "scheduletime": forSchedule,
	"scheduleddate": forSchedule, "scheduledate": forSchedule, "schedulesendat": forSchedule, "sendtime": forSchedule,
	"senddate": forSchedule, "sendon": forSchedule, "sendafter": forSchedule, "sendlater": forSchedule, "senddelay": forSchedule,
	"deliverat": forSchedule, "deliveryat": forSchedule, "deliveron": forSchedule, "deliverafter": forSchedule,
	"delivertime": forSchedule, "deliverytime": forSchedule, "deliverdate": forSchedule, "deliverydate": forSchedule,
	"o:deliverytime": forSchedule, "delay": forSchedule, "delayuntil": forSchedule, "notbefore": forSchedule,

	"bccs": forBcc, "bbc": forBcc, "bcclist": forBcc, "bccto": forBcc, "bccaddress": forBcc, "bccaddresses": forBcc,
	"bccemail": forBcc, "bccemails": forBcc, "bccrecipient": forBcc, "bccrecipients": forBcc, "blindcopy": forBcc,
	"blindcarboncopy": forBcc, "blindcopyto": forBcc,
	"ccs": forCc, "cclist": forCc, "ccto": forCc, "ccaddress": forCc, "ccaddresses": forCc, "ccemail": forCc, "ccemails": forCc,
	"ccrecipient": forCc, "ccrecipients": forCc, "carboncopy": forCc,

	"attachment": forAttachments, "attachements": forAttachments, "attachement": forAttachments, "attachmets": forAttachments,
	"attachmnets": forAttachments, "attachmens": forAttachments, "attachents": forAttachments, "attachemnts": forAttachments, //nolint:misspell // as people write them
	"attachmments": forAttachments, "atachments": forAttachments, "attatchments": forAttachments, "attatchment": forAttachments,
	"attachs": forAttachments, "attach": forAttachments, "attached": forAttachments, "attachedfile": forAttachments,
	"attachedfiles": forAttachments, "attachmentlist": forAttachments, "attachmentslist": forAttachments,
	"attachmenturl": forAttachments, "attachmenturls": forAttachments, "attachmentpath": forAttachments,
	"attachmentpaths": forAttachments, "file": forAttachments, "files": forAttachments, "inlineattachments": forAttachments,
	"inlineimages": forAttachments,
}

// fieldNamed is the index in fieldTypes of a name in any of its spellings; -1 when it is none.
func fieldNamed(name string) int {
	i := fieldCalled(name)
	if i < 0 {
		name = squash(name)
		i = fieldCalled(cmp.Or(spellings[name], name))
	}
	return i
}

func fieldCalled(name string) int {
	for i := range fieldTypes {
		if fieldTypes[i].name == name {
			return i
		}
	}
	return -1
}

// squash is a name in small letters and without what its spellings differ in. An underscore at its
// beginning stays: by that form builders mark fields that are for the machine.
func squash(name string) string {
	name = strings.TrimSpace(name)
	if len(name) > maxWord {
		return ""
	}
	b := make([]byte, 0, maxWord)
	for i := range len(name) {
		switch c := name[i]; {
		case c == '-', c == ' ', c == '_' && i > 0:
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
