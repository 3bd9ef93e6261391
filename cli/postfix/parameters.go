package postfix

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/config"
)

// translated is a parameter of Postfix, what it comes to with our settings, and which of them it
// comes from.
type translated struct {
	name  string
	from  []string
	value func(s *config.Settings) string
}

// known are the parameters that programs and people ask for, in Postfix's order.
var known = []translated{
	{"alias_maps", []string{"ALIASES_FILE"}, func(s *config.Settings) string { return tables(s.Aliases.Aliases) }},
	{"bounce_queue_lifetime", []string{"QUEUE_LIFETIME"}, func(s *config.Settings) string { return span(s.Queue.Lifetime) }},
	{"default_destination_concurrency_limit", []string{"SMTP_RELAY_CONNECTIONS"},
		func(s *config.Settings) string { return strconv.Itoa(s.Relay.Connections) }},
	{"enable_long_queue_ids", nil, func(*config.Settings) string { return "yes" }},
	{"inet_interfaces", []string{"SMTP_LISTEN", "SMTPS_LISTEN"}, interfaces},
	{"inet_protocols", nil, func(*config.Settings) string { return "all" }},
	{"mail_name", nil, func(*config.Settings) string { return "Dinkymail" }},
	{"mail_version", nil, func(*config.Settings) string { return "" }}, // whoever prints it knows
	{"maximal_backoff_time", []string{"QUEUE_RETRY"},
		func(s *config.Settings) string { return backoff(s, len(s.Queue.Retry)-1) }},
	{"maximal_queue_lifetime", []string{"QUEUE_LIFETIME"}, func(s *config.Settings) string { return span(s.Queue.Lifetime) }},
	{"message_size_limit", []string{"MESSAGE_MAX_BYTES"},
		func(s *config.Settings) string { return strconv.FormatInt(s.Queue.MaxMessageBytes, 10) }},
	{"minimal_backoff_time", []string{"QUEUE_RETRY"}, func(s *config.Settings) string { return backoff(s, 0) }},
	{"mydestination", nil, func(*config.Settings) string { return "" }},
	{"mydomain", []string{"MAIL_DOMAIN"}, func(s *config.Settings) string { return s.Domain }},
	{"myhostname", []string{"MAIL_HOSTNAME", "MAIL_DOMAIN"}, func(s *config.Settings) string { return s.Hostname }},
	{"mynetworks", []string{"TRUSTED_NETWORKS"}, networks},
	{"myorigin", []string{"MAIL_DOMAIN"}, func(s *config.Settings) string { return s.Domain }},
	{"queue_directory", []string{"DATA_DIR"}, world.DataDir},
	{"queue_run_delay", nil, func(*config.Settings) string { return "0s" }},
	{"relayhost", []string{"SMTP_RELAY_HOST", "SMTP_RELAY_PORT"}, relayHost},
	{"sender_canonical_maps", []string{"SENDERS_FILE"},
		func(s *config.Settings) string { return tables([]string{s.Aliases.Senders}) }},
	{"smtp_sasl_auth_enable", []string{"SMTP_RELAY_USERNAME"},
		func(s *config.Settings) string { return yes(s.Relay.Username != "") }},
	{"smtp_tls_security_level", []string{"USE_TLS", "TLS_VERIFY"}, tlsLevel},
	{"smtpd_client_connection_count_limit", []string{"SMTP_MAX_CONNECTIONS_PER_CLIENT"},
		func(s *config.Settings) string { return strconv.Itoa(s.SMTP.MaxConnectionsPerClient) }},
	{"smtpd_recipient_limit", []string{"MESSAGE_MAX_RECIPIENTS"},
		func(s *config.Settings) string { return strconv.Itoa(s.Queue.MaxRecipients) }},
	{"smtpd_sasl_auth_enable", []string{"SMTP_USERS"}, func(s *config.Settings) string { return yes(len(s.Account.Users) > 0) }},
	{"smtpd_tls_cert_file", []string{"TLS_CERT_FILE"}, row("TLS_CERT_FILE")},
	{"smtpd_tls_key_file", []string{"TLS_KEY_FILE"}, row("TLS_KEY_FILE")},
	{"virtual_alias_maps", []string{"VIRTUAL_FILE"}, func(s *config.Settings) string { return tables(s.Aliases.Virtual) }},
}

// row is the value of one of our settings as it is shown.
func row(name string) func(*config.Settings) string {
	return func(s *config.Settings) string {
		for _, r := range s.Effective() {
			if r.Name == name {
				return r.Value
			}
		}
		return ""
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// tables are files as Postfix names tables.
func tables(files []string) string {
	var all []string
	for _, f := range files {
		if f != "" {
			all = append(all, "texthash:"+f)
		}
	}
	return strings.Join(all, ", ")
}

// span is a duration in Postfix's form: a number and the largest unit that makes it whole.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit   time.Duration
		letter string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.letter
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// backoff is the nth wait between attempts.
func backoff(s *config.Settings, n int) string {
	if n < 0 || n >= len(s.Queue.Retry) {
		return ""
	}
	return span(s.Queue.Retry[n])
}

// interfaces are the addresses on which SMTP is listened for.
func interfaces(s *config.Settings) string {
	var all []string
	loopback := true
	for _, at := range slices.Concat(s.SMTPListen, s.SMTPSListen) {
		host, _, err := net.SplitHostPort(at)
		if err != nil {
			host = at
		}
		ip, err := netip.ParseAddr(host)
		if host == "" || err == nil && ip.IsUnspecified() {
			return "all"
		}
		loopback = loopback && (host == "localhost" || err == nil && ip.IsLoopback())
		if !slices.Contains(all, host) {
			all = append(all, host)
		}
	}
	if loopback && len(all) > 0 {
		return "loopback-only"
	}
	return strings.Join(all, ", ")
}

func networks(s *config.Settings) string {
	all := make([]string, len(s.SMTP.Trusted))
	for i, p := range s.SMTP.Trusted {
		all[i] = p.String()
		if a := p.Addr(); a.Is6() {
			all[i] = "[" + a.String() + "]/" + strconv.Itoa(p.Bits())
		}
	}
	return strings.Join(all, " ")
}

// relayHost is the upstream. Its name is not looked up for MX records, so it stands in brackets.
func relayHost(s *config.Settings) string {
	if s.Relay.Host == "" {
		return ""
	}
	return "[" + s.Relay.Host + "]:" + strconv.Itoa(s.Relay.Port)
}

// implicitTLS is the port on which TLS begins with the first byte, whatever the settings say.
const implicitTLS = 465

func tlsLevel(s *config.Settings) string {
	switch {
	case s.Relay.Host != "" && !s.Relay.UseTLS && !s.Relay.ImplicitTLS && s.Relay.Port != implicitTLS:
		return "none"
	case s.Relay.VerifyTLS:
		return "secure"
	default:
		return "encrypt"
	}
}
