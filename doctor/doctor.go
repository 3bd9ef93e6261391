// Package doctor looks at everything a mail has to pass on its way out, from the settings to the
// provider's word on the sender, and says of each thing what it found, why that matters and which
// line to change.
//
// # What it promises
//
//   - Nothing is sent, unless Patient.Address asks for one mail. No setting and no file is changed.
//   - The next hop is examined by [relay.Probe], the code that delivers: what it finds is what a
//     delivery meets.
//   - Findings come in a fixed order with stable names, whatever was ready first. Passwords are in
//     none of them.
//   - What cannot be known is said to be so: no selector of DKIM can be listed, and no clock but
//     this machine's is asked.
//
// # Limits
//
// The checks run at the same time, each for at most [Deadline]; the mail has its own. What a
// stranger said is bounded and has no control characters.
//
// # Who runs where
//
// Examine starts a goroutine for each check and waits for all of them.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"dinkymail/config"
	"dinkymail/httpapi"
	"dinkymail/internal/disk"
	"dinkymail/operate"
)

// Deadline is how long one check may take.
const Deadline = 10 * time.Second

// Level is how bad a finding is.
type Level string

// The levels, worst last. A note is something to know, a warning something to look at this week;
// with an error mail does not go out, or is refused, or will be.
const (
	OK      Level = "ok"
	Note    Level = "note"
	Warning Level = "warning"
	Error   Level = "error"
)

// Finding is what one check has to say.
type Finding struct {
	Group string `json:"group"` // settings, machine, doors, appliance, domain, upstream, mail
	Check string `json:"check"` // a word that stays the same over releases
	Level Level  `json:"level"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"` // it matters
	Fix   string `json:"fix,omitempty"` // what to change, as a line of settings or DNS where there is one
	// Dialogue is what was said to the upstream, when it ended with this finding.
	Dialogue string        `json:"dialogue,omitempty"`
	Took     time.Duration `json:"took"` // nanoseconds, of the check
}

// Patient is the appliance to examine.
type Patient struct {
	Settings *config.Settings
	Problems error  // what config.Load said besides
	EnvFile  string // where the settings are changed; it may be missing

	Operator    operate.Operator // of the running appliance; nil when it does not answer
	API         *httpapi.Client  // of the same
	Unreachable error            // why they are nil
	Version     string           // of this program, to compare

	Resolver *net.Resolver // nil: the system's
	Now      func() time.Time

	// Address gets one mail through the appliance by SendTest, which says what becomes of it, a
	// line at a time. Empty: none.
	Address  string
	SendTest func(ctx context.Context, address string, say func(line string)) error
}

// Report is the result of an examination.
type Report struct {
	Findings []Finding     `json:"findings"`
	OK       int           `json:"ok"`
	Notes    int           `json:"notes"`
	Warnings int           `json:"warnings"`
	Errors   int           `json:"errors"`
	Took     time.Duration `json:"took"` // nanoseconds
}

// exam is an examination under way. The checks only read it.
type exam struct {
	Patient
	disk func(dir string) (disk.Space, error)
}

// check is one part of an examination. The findings of one may stand in for each other's absence;
// so they come together.
type check struct {
	group string
	run   func(*exam, context.Context) []Finding
}

// checks is the order in which findings are told.
var checks = []check{
	{"settings", (*exam).settings},
	{"machine", (*exam).rights},
	{"machine", (*exam).space},
	{"machine", (*exam).clock},
	{"doors", (*exam).doors},
	{"doors", (*exam).certificate},
	{"appliance", (*exam).appliance},
	{"domain", (*exam).domain},
	{"upstream", (*exam).upstream},
}

// Examine runs every check. It ends when ctx does, or soon after.
func Examine(ctx context.Context, p Patient) Report {
	return examine(ctx, &exam{Patient: p, disk: disk.Look})
}

func examine(ctx context.Context, e *exam) Report {
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Resolver == nil {
		e.Resolver = net.DefaultResolver
	}
	start := time.Now()
	found := make([][]Finding, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		if e.Problems == nil || c.group == "settings" {
			running.Go(func() { found[i] = e.run(ctx, c) })
		}
	}
	running.Wait()
	if e.Address != "" && e.Problems == nil {
		found = append(found, timed("mail", func() []Finding { return e.mail(ctx) }))
	}
	var r Report
	for _, all := range found {
		r.Findings = append(r.Findings, all...)
	}
	for _, f := range r.Findings {
		switch f.Level {
		case OK:
			r.OK++
		case Note:
			r.Notes++
		case Warning:
			r.Warnings++
		default:
			r.Errors++
		}
	}
	r.Took = time.Since(start)
	return r
}

// run makes one check within its deadline.
func (e *exam) run(ctx context.Context, c check) []Finding {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	return timed(c.group, func() []Finding { return c.run(e, ctx) })
}

// timed fills in what all findings of a check share.
func timed(group string, run func() []Finding) []Finding {
	start := time.Now()
	all := run()
	took := time.Since(start)
	for i := range all {
		all[i].Group = group
		if all[i].Took == 0 {
			all[i].Took = took
		}
	}
	return all
}

// mail sends one mail and follows it.
func (e *exam) mail(ctx context.Context) []Finding {
	if e.Operator == nil || e.SendTest == nil {
		return []Finding{{Check: "mail", Level: Error, What: "no mail could be sent to " + e.Address + ": the appliance does not answer",
			Why: "a mail takes the way of all others, through its queue", Fix: startIt}}
	}
	var lines []string
	err := e.SendTest(ctx, e.Address, func(line string) { lines = append(lines, line) })
	f := Finding{Check: "mail", Level: OK, What: "one mail to " + e.Address}
	for _, line := range lines {
		f.What += "\n" + line
	}
	if err != nil {
		f.Level = Error
		f.What += "\n" + err.Error()
		f.Why = "what happened to this mail happens to every mail"
		f.Fix = "dinkymail queue shows what waits, and dinkymail show ID all that was said"
	}
	return []Finding{f}
}

// line is a setting as it should stand, and where it stands now.
func (e *exam) line(name, value string) string {
	at := "in " + e.envFile()
	for _, row := range e.Settings.Effective() {
		if row.Name == name && row.Source != "default" {
			at = "now set in " + row.Source
		}
	}
	return fmt.Sprintf("%s=%s (%s)", name, value, at)
}

func (e *exam) envFile() string {
	if e.EnvFile == "" {
		return "the environment"
	}
	return e.EnvFile
}

// missing reports whether a look-up found that there is nothing.
func missing(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// many counts things in words.
func many(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if one == "address" {
		return fmt.Sprintf("%d addresses", n)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

const startIt = "systemctl start dinkymail, docker compose up -d, or dinkymail, however it is run here"
