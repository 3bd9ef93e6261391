package relay

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"dinkymail/queue"
)

// fault is something other than success: a reply that is none of 2xx and 3xx, or no reply at all.
type fault struct {
	stage     string
	reply     reply // code 0: there was none, and err says why
	err       error
	patience  time.Duration // how long was waited, when err is a timeout
	cancelled bool          // ctx ended: it is nobody's fault
	midst     bool          // the message's end was not sent
	renew     bool          // it is about the connection alone: the attempt goes on over a fresh one
	unfit     bool          // the mechanism of AUTH is not known there
	remote    string        // set where the connection is not at hand
	secrets   *Config       // its password must not show in a Text
	dialogue  string        // what was said, where the connection was never ready
}

// elsewhere is the fault as it concerns recipients whose transaction had not begun.
func (f *fault) elsewhere() *fault {
	if f.reply.code != 0 || !transaction(f.stage) {
		return f
	}
	other := *f
	other.stage, other.midst = stageMail, false
	return &other
}

// hangup reports whether the next hop was merely cancelled: what a connection that idled for too long looks like.
func (f *fault) hangup() bool {
	return !f.cancelled && (f.reply.code == 421 || f.err != nil && !errors.Is(f.err, errNoReply) && !errors.Is(f.err, errLongReply))
}

// unanswered reports whether a next hop has nothing to say about the account: it is silent, gone,
// or says that it is no SMTP server, or closing.
func (f *fault) unanswered() bool {
	return f.reply.code == 421 || f.reply.code == 0 && pauseWithout(f) != queue.PauseCredentials
}

// classify is the border between SMTP and the queue: it says what a reply, or its absence, means for a recipient. It looks at the
// code, the enhanced status code, the stage and, because providers share few codes for "you have sent enough" and "who are you",
// at the words.
func classify(f *fault, remote string) queue.Result {
	if remote == "" {
		remote = f.remote
	}
	res := queue.Result{Code: f.reply.code, Status: f.reply.status, Remote: remote, Stage: f.stage}
	switch {
	case f.cancelled:
		res.Text = "given up: " + f.err.Error()
	case f.reply.code == 0:
		res.Text, res.Remedy = f.explain()
		res.Pause = pauseWithout(f)
	default:
		res.Text = f.reply.text
		words := strings.ToLower(f.reply.text)
		res.Outcome, res.Pause = judge(f.stage, f.reply, words)
		res.Remedy = advise(res, words)
	}
	res.Text = clean(f.secrets.hide(res.Text), maxText)
	return res
}

// pauseWithout says what it means that no reply came: before MAIL nothing of the message was said, so it is the lane; from then
// on it may be the message, and pausing for it would let one message stop all others.
func pauseWithout(f *fault) queue.Pause {
	switch {
	case errors.Is(f.err, errNoAuth), errors.Is(f.err, errNoMechanism):
		return queue.PauseCredentials
	case transaction(f.stage):
		return queue.NoPause
	default:
		return queue.PauseUnreachable
	}
}

// transaction reports whether a stage is about a message.
func transaction(stage string) bool {
	return stage == stageMail || stage == stageRcpt || stage == stageData || stage == stageBody
}

// judge decides by a reply. It comes with 2xx only at the end of the message, or out of place.
func judge(stage string, r reply, words string) (queue.Outcome, queue.Pause) {
	switch {
	case r.code/100 == 2 && stage == stageBody:
		return queue.Delivered, queue.NoPause
	case r.code/100 < 4: // a yes where it means nothing
		if transaction(stage) {
			return queue.Deferred, queue.NoPause
		}
		return queue.Deferred, queue.PauseUnreachable
	case aboutPace(stage, r, words):
		return queue.Deferred, queue.PauseBusy
	case aboutCredentials(stage, r, words):
		return queue.Deferred, queue.PauseCredentials
	case aboutQuota(stage, r, words):
		return queue.Deferred, queue.PauseQuota
	case !transaction(stage), r.code == 421 && stage == stageMail:
		return queue.Deferred, queue.PauseUnreachable
	case passing(r):
		return queue.Deferred, queue.NoPause
	default:
		return queue.Failed, queue.NoPause
	}
}

// passing reports whether a refusal is worth another try. 503 is our own or their confusion about the order of commands, and 5xx
// with 4.x.x is two answers: delay is the safe one.
func passing(r reply) bool {
	return r.code/100 == 4 || r.code == 503 || strings.HasPrefix(r.status, "4")
}

// own is what a result about the lane is if it turns out to be about its message alone; false when it cannot be. Whoever is asked
// for a message can mean its sender, its recipient or its text by words about our account, login or limit.
func own(res queue.Result) (queue.Result, bool) {
	if res.Pause == queue.NoPause || res.Code == 0 || !transaction(res.Stage) {
		return queue.Result{}, false
	}
	res.Pause, res.Remedy = queue.NoPause, ""
	if !passing(reply{code: res.Code, status: res.Status}) {
		res.Outcome = queue.Failed
	}
	return res, true
}

// aboutCredentials recognises that our account is refused, or that one is asked for (RFC 4954, 4 and 6).
func aboutCredentials(stage string, r reply, words string) bool {
	if stage == stageAuth {
		return r.code != 421 && !containsAny(words, quotaWords)
	}
	if !transaction(stage) {
		return false
	}
	switch r.code {
	case 530, 534, 535, 538:
		return true
	}
	return r.code/100 == 5 && (containsAny(words, loginWords) ||
		stage == stageMail && strings.Contains(words, "account") && containsAny(words, blockedWords))
}

// aboutPace recognises that the next hop would take the mail over fewer connections at a time, or slower. In a reply to RCPT the
// words may be another server's, about the recipient.
func aboutPace(stage string, r reply, words string) bool {
	return r.code/100 == 4 && stage != stageRcpt && containsAny(words, paceWords)
}

// aboutQuota recognises that our account has sent enough for now. A recipient's full mailbox, x.2.x, is another thing.
func aboutQuota(stage string, r reply, words string) bool {
	if stage != stageAuth && !transaction(stage) {
		return strings.HasSuffix(r.status, ".7.28") || containsAny(words, quotaWords)
	}
	_, detail, _ := strings.Cut(r.status, ".")
	switch detail {
	case "4.5", "7.28", "1.90": // congestion, as Gmail says of its daily limit; its rate limit; Exchange's daily limit
		return true
	case "5.3": // too many recipients, said before any was taken, can only be a limit over time
		return r.code == 452
	}
	if strings.HasPrefix(detail, "2.") {
		return stage == stageMail && strings.Contains(words, "quota") || strings.Contains(words, "submissionquota")
	}
	return containsAny(words, quotaWords)
}

var (
	loginWords = []string{"authentication required", "authentication is required", "not authenticated", "must authenticate",
		"authenticate first", "auth first", "please authenticate", "log in first"}
	blockedWords = []string{"suspended", "disabled", "locked", "restricted"}

	quotaWords = []string{"sending limit", "sending quota", "sending rate", "user sending", "daily limit", "daily message",
		"daily sending", "hourly limit", "rate limit", "ratelimit", "message quota", "submissionquota", "throttl",
		"too many messages", "too many emails", "too many login", "smtp relay limit"}

	paceWords = []string{"too many connections", "too many concurrent", "too many simultaneous", "too many sessions",
		"too many open connections", "concurrent connections", "connections limit", "connection limit", "thread limit",
		"slow down", "too fast"}
)

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// advise is what the operator can do about a reply that refuses our account.
func advise(res queue.Result, words string) string {
	switch {
	case res.Pause != queue.PauseCredentials:
		return ""
	case strings.Contains(words, "starttls"):
		return "set USE_TLS=yes"
	case res.Status == "5.7.9" || res.Code == 534 || strings.Contains(words, "gmail"):
		return "make an app password and put it in SMTP_RELAY_PASSWORD"
	case res.Code/100 == 4:
		return "the login could not be checked; if it stays so, look at the account at the provider"
	case containsAny(words, blockedWords):
		return "ask the provider about the account"
	case res.Stage != stageAuth:
		return "the next hop wants a login: set SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD"
	default:
		return "check SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD; with Gmail, make an app password and put it in SMTP_RELAY_PASSWORD"
	}
}

// hide blots out the password, plain and as AUTH sends it, should somebody quote it back to us.
func (cfg *Config) hide(text string) string {
	if cfg == nil || cfg.Password == "" {
		return text
	}
	name, password := cfg.Username, cfg.Password
	for _, secret := range []string{
		password,
		base64.StdEncoding.EncodeToString([]byte(password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + name + "\x00" + password)),
	} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
