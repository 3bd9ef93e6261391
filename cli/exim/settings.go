package exim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/internal/plain"
	"dinkymail/message"
)

// option is a setting of Exim and what it comes to with ours.
type option struct {
	name  string
	value func(s *config.Settings) string
}

// known are the options that have an answer here, in Exim's order.
var known = []option{
	{"daemon_smtp_ports", func(s *config.Settings) string { return listens(s, 1) }},
	{"local_interfaces", func(s *config.Settings) string { return listens(s, 0) }},
	{"message_size_limit", func(s *config.Settings) string { return limit(s.Queue.MaxMessageBytes) }},
	{"primary_hostname", func(s *config.Settings) string { return s.Hostname }},
	{"qualify_domain", func(s *config.Settings) string { return s.Domain }},
	{"qualify_recipient", func(s *config.Settings) string { return s.Domain }},
	{"recipients_max", func(s *config.Settings) string { return fmt.Sprint(s.Queue.MaxRecipients) }},
	{"spool_directory", world.DataDir},
}

// limit is a number of bytes as Exim's options have it.
func limit(n int64) string {
	switch {
	case n != 0 && n%(1<<20) == 0:
		return fmt.Sprintf("%dM", n>>20)
	case n != 0 && n%(1<<10) == 0:
		return fmt.Sprintf("%dK", n>>10)
	default:
		return fmt.Sprint(n)
	}
}

// listens are the addresses (0) or ports (1) on which SMTP is listened for, with colons between
// them as Exim's lists have them.
func listens(s *config.Settings, part int) string {
	var all []string
	for _, at := range slices.Concat(s.SMTPListen, s.SMTPSListen) {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			continue
		}
		if host == "" {
			host = "0.0.0.0"
		}
		one := []string{strings.ReplaceAll(host, ":", "::"), port}[part]
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return strings.Join(all, " : ")
}

// settings are the settings as far as they can be read.
func (c *command) settings() (*config.Settings, error) {
	s, err := c.Settings()
	if s == nil {
		return nil, fail("exim: %v", err)
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(c.Err, "exim: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return s, nil
}

// options is -bP: the options named, or all that have an answer.
func (c *command) options(_ context.Context, l *line) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	show := func(o option) {
		if l.nameless {
			fmt.Fprintln(c.out, o.value(s))
			return
		}
		fmt.Fprintf(c.out, "%s = %s\n", o.name, o.value(s))
	}
	if len(l.operands) == 0 {
		for _, o := range known {
			show(o)
		}
	}
	bad := 0
	for _, name := range l.operands {
		i := slices.IndexFunc(known, func(o option) bool { return o.name == name })
		if i < 0 {
			fmt.Fprintf(c.out, "%s is not a known option\n", plain.Line(name))
			bad = 1
			continue
		}
		show(known[i])
	}
	return world.Ended(bad)
}

// Exit statuses of -bt and -bv.
const (
	cannotNow  = 1
	cannotEver = 2
)

// route is -bt, which says where mail to an address goes, and -bv, which says whether it goes
// anywhere.
func (c *command) route(_ context.Context, l *line) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	worst := 0
	for _, text := range l.operands {
		worst = max(worst, c.routeOne(s, text, l.option == "-bv"))
	}
	return world.Ended(worst)
}

func (c *command) routeOne(s *config.Settings, text string, verify bool) int {
	full := text
	if !strings.Contains(full, "@") {
		full += "@" + s.Domain
	}
	a, err := message.ParseAddress(full)
	switch {
	case err != nil:
		why := err.Error()
		var wrong *message.AddressError
		if errors.As(err, &wrong) {
			why = wrong.Reason
		}
		word := "is undeliverable"
		if verify {
			word = "failed to verify"
		}
		fmt.Fprintf(c.out, "%s %s: %s\n", plain.Line(full), word, plain.Line(why))
		return cannotEver
	case s.Relay.Host == "" && !verify:
		fmt.Fprintf(c.out, "%s cannot be resolved at this time: no upstream is configured; set SMTP_RELAY_HOST\n", a)
		return cannotNow
	case verify:
		fmt.Fprintf(c.out, "%s verified\n", a)
	default:
		fmt.Fprintf(c.out, "%s\n  router = upstream, transport = smtp\n  host %s port=%d\n", a, s.Relay.Host, s.Relay.Port)
	}
	return 0
}
