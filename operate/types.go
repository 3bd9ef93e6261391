package operate

import (
	"time"

	"dinkymail/queue"
)

// Entry is a message, wherever one is shown: whoever tells more of it embeds this and adds fields.
type Entry struct {
	ID         queue.ID    `json:"id"`
	State      queue.State `json:"status"`           // "active" while it is being handed over
	Reason     string      `json:"reason,omitempty"` // why it is held, or what keeps a queued or deferred one waiting beyond itself
	Held       string      `json:"held,omitempty"`   // why an operator holds it back
	From       string      `json:"from"`             // the envelope's sender; empty for a bounce
	Recipients []Recipient `json:"recipients"`
	Subject    string      `json:"subject,omitempty"`
	MessageID  string      `json:"messageId,omitempty"`
	Size       int64       `json:"size"`
	Accepted   time.Time   `json:"accepted"`
	Next       *time.Time  `json:"next,omitempty"`     // the next attempt
	Finished   *time.Time  `json:"finished,omitempty"` //
	Removed    *time.Time  `json:"removed,omitempty"`  // when an operator removed it; undo brings it back until the trash is emptied
	Attempts   int         `json:"attempts"`           // those that counted
	Lane       string      `json:"lane,omitempty"`
}

// Recipient is a recipient and the last that was answered for it.
type Recipient struct {
	Address string `json:"address"`
	Outcome string `json:"outcome"`          // deferred, delivered, failed, or dropped by an operator
	Code    int    `json:"code,omitempty"`   // of SMTP
	Status  string `json:"status,omitempty"` // RFC 3463
	Text    string `json:"text,omitempty"`
	Remote  string `json:"remote,omitempty"`   // the next hop
	Notify  string `json:"notify,omitempty"`   // RFC 3461
	Origin  string `json:"original,omitempty"` // ORCPT, as "rfc822;ada@example.com"
}

// Detail is all that is known of a message.
type Detail struct {
	Entry
	Origin    OriginDetail      `json:"origin"`
	NotBefore *time.Time        `json:"notBefore,omitempty"`
	Expires   *time.Time        `json:"expires,omitempty"` // when the appliance gives up and tells the sender
	EnvID     string            `json:"envid,omitempty"`
	Ret       string            `json:"ret,omitempty"`
	UTF8      bool              `json:"smtputf8,omitempty"`
	History   []AttemptDetail   `json:"history"`
	Omitted   int               `json:"omitted,omitempty"` // attempts that the history has no room for, behind its first
	Tags      []string          `json:"tags,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	HasBody   bool              `json:"hasBody"`
}

// OriginDetail is how a message came in.
type OriginDetail struct {
	Door   string `json:"door"`
	Client string `json:"client,omitempty"`
	User   string `json:"user,omitempty"`
}

// AttemptDetail is one attempt.
type AttemptDetail struct {
	At       time.Time      `json:"at"`
	Took     time.Duration  `json:"took"` // nanoseconds
	Answers  []AnswerDetail `json:"answers"`
	Dialogue string         `json:"dialogue,omitempty"` // lines beginning "C: " or "S: ", where something was not delivered
}

// AnswerDetail is one reply and whom it was for.
type AnswerDetail struct {
	Recipients []string `json:"recipients"`
	More       int      `json:"more,omitempty"` // recipients that are not listed, for there are very many
	Outcome    string   `json:"outcome"`
	Stage      string   `json:"stage,omitempty"`
	Code       int      `json:"code,omitempty"`
	Status     string   `json:"status,omitempty"`
	Text       string   `json:"text,omitempty"`
	Remote     string   `json:"remote,omitempty"`
}

// List is the answer of POST /api/v1/queue/list.
type List struct {
	Success  bool     `json:"success"`
	Messages []Entry  `json:"messages"`
	Next     queue.ID `json:"next,omitempty"` // to be given as after for the next page; empty at the end
}

// Verb is what an operator does to messages.
type Verb string

// The verbs. Bounce gives up now and tells the sender. Remove puts into the trash, from which
// Restore takes it back.
const (
	Retry    Verb = "retry"
	Hold     Verb = "hold"
	Release  Verb = "release"
	Remove   Verb = "remove"
	Restore  Verb = "restore"
	Bounce   Verb = "bounce"
	Redirect Verb = "redirect"
	Edit     Verb = "edit-recipients"
)

// Action is a verb and the messages it is for.
type Action struct {
	Verb Verb `json:"verb"`
	queue.Selection
	Reason string   `json:"reason,omitempty"` // of Hold and Bounce
	To     string   `json:"redirect,omitempty"`
	Add    []string `json:"add,omitempty"`  // of Edit: recipients more
	Drop   []string `json:"drop,omitempty"` // and less
	// Last, of Restore, means what was removed last, all of one Action together.
	Last bool `json:"last,omitempty"`
	// UpTo bounds what filters select: nothing behind this message, in the order of acceptance, is
	// meant. Empty: no bound.
	UpTo queue.ID `json:"upTo,omitempty"`
	// DryRun counts and samples without doing anything.
	DryRun bool `json:"dryRun,omitempty"`
}

// ActionResult is what an Action did, or would do. Failed has all the IDs named that it could not
// be done to, those that do not exist among them, up to half a million; where filters selected the
// messages it has a hundred of them.
type ActionResult struct {
	Success bool          `json:"success"`
	Matched int           `json:"matched"`
	Done    int           `json:"done"`
	Active  int           `json:"active,omitempty"` // of Done, by Hold or Remove: being handed over meanwhile, and may be delivered all the same
	Bytes   int64         `json:"bytes"`            // of the bodies of what matched
	Sample  []Entry       `json:"sample,omitempty"` // the first ten that matched
	Failed  []ActionError `json:"failed,omitempty"`
	Oldest  *time.Time    `json:"oldest,omitempty"`
	Newest  *time.Time    `json:"newest,omitempty"`
}

// ActionError is why an Action could not be done to a message.
type ActionError struct {
	ID      queue.ID `json:"id"`
	Message string   `json:"message"`
	Code    Code     `json:"code,omitempty"`    // not_found, active, settled … where one fits
	Missing bool     `json:"missing,omitempty"` // there is no such message
}

// Stats is the answer of GET /api/v1/stats.
type Stats struct {
	Success  bool                `json:"success"`
	Waiting  int                 `json:"waiting"`
	Bytes    int64               `json:"bytes"`       // of the bodies of what waits
	Records  int64               `json:"recordBytes"` // of its records, which count towards QUEUE_MAX_BYTES too
	Finished int                 `json:"finished"`
	Captured int                 `json:"captured"`
	Removed  int                 `json:"removed"` // in the trash
	Damaged  int                 `json:"damaged"`
	Oldest   *time.Time          `json:"oldest,omitempty"`
	Started  time.Time           `json:"started"`
	Since    SinceStart          `json:"sinceStart"`
	Lanes    []LaneDetail        `json:"lanes"`
	Paused   []queue.PauseStatus `json:"paused,omitempty"`
	Broken   string              `json:"broken,omitempty"`
	States   map[string]int      `json:"statuses"` // of what waits
	Domains  []DomainStats       `json:"domains"`  // of what waits, the largest first, at most 50
	Sampled  bool                `json:"sampled"`  // States and Domains were counted in a part only, for there is too much
}

// SinceStart counts since the appliance started.
type SinceStart struct {
	Accepted  uint64 `json:"accepted"`  // messages
	Delivered uint64 `json:"delivered"` // recipients
	Failed    uint64 `json:"failed"`
	Deferred  uint64 `json:"deferred"` // attempts that were
	Bounces   uint64 `json:"bounces"`
}

// LaneDetail is the way to one next hop.
type LaneDetail struct {
	Name        string          `json:"name"`
	Status      queue.LaneState `json:"status"`
	Kind        string          `json:"kind,omitempty"` // why it waits, in a word
	Reason      string          `json:"reason,omitempty"`
	Since       *time.Time      `json:"since,omitempty"`
	NextProbe   *time.Time      `json:"nextProbe,omitempty"`
	InFlight    int             `json:"inFlight"`
	Concurrency int             `json:"concurrency"`
}

// DomainStats counts waiting recipients of one domain by age.
type DomainStats struct {
	Domain string `json:"domain"`
	Total  int    `json:"total"`
	// Ages counts those accepted less than 5, 10, 20, 40, 80, 160, 320, 640, 1280 minutes ago, and
	// the rest.
	Ages [10]int `json:"ages"`
}
