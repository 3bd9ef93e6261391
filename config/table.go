package config

import "log/slog"

// Group is one chapter of the settings.
type Group struct {
	Title    string
	Intro    string // one or two sentences, for the documents
	Settings []Setting
}

// Setting is one row of the table.
type Setting struct {
	Name    string
	Aliases []string // older names, still read
	Default string   // as it would be written; empty without one
	Derived string   // the default in words, where it depends on other settings
	Example string   // what .env.example shows; Default where empty
	Doc     string   // sentences for the operator
	Secret  bool     // never shown; has a _FILE form
	Restart bool     // a change takes effect at the next start alone

	set func(text string) error // nil: not for the appliance itself
}

// Groups is the table of all settings, in the order of the documents.
func Groups() []Group { return new(Settings).groups() }

func (s *Settings) groups() []Group {
	return []Group{
		s.mail(), s.upstream(), s.web(), s.doors(), s.submission(), s.addresses(), s.queue(), s.operation(),
		{Title: "Docker compose", Intro: "Read by docker-compose.yml for its labels, not by the appliance.", Settings: []Setting{
			{Name: "TRAEFIK_ENTRYPOINT", Default: "https", Doc: "Traefik's entry point for the HTTP API."},
			{Name: "ENABLE_TLS", Default: "true", Doc: "Whether Traefik's router speaks TLS."},
		}},
	}
}

func (s *Settings) mail() Group {
	return Group{"Your mail", "Who you are.", []Setting{
		{Name: "MAIL_DOMAIN", Derived: "the domain of DEFAULT_FROM, else this machine's name, with a warning",
			Example: "example.com",
			Doc:     "The domain you send for. It stands in Message-ID, and programs on this machine may send from its addresses.",
			set:     domain(&s.Domain)},
		{Name: "MAIL_HOSTNAME", Derived: "mail.MAIL_DOMAIN", Example: "mail.example.com",
			Doc: "The name this appliance says in EHLO, in its greeting and in Received.", set: hostname(&s.Hostname)},
		{Name: "DEFAULT_FROM", Derived: "noreply@MAIL_DOMAIN", Example: "noreply@example.com",
			Doc: "The sender when a caller gives none, and of all form mail. A display name may stand before the <address>.",
			set: mailbox(&s.defaultFrom)},
		{Name: "DEFAULT_TO", Example: "you@example.com",
			Doc: "Where form mail without a recipient goes, and notices about mail that this appliance itself could not deliver.",
			set: mailbox(&s.defaultTo)},
		{Name: "ENVIRONMENT", Restart: true, Derived: "production; development when there is no .env and none of these is set",
			Example: "production",
			Doc:     "production, or development: mail is then captured and shown under /captured, and nothing leaves the machine.",
			set:     environment(&s.Development)},
	}}
}

func (s *Settings) upstream() Group {
	return Group{"Upstream", "The account or smarthost that takes your mail to the world. Without one, mail is accepted and waits.", []Setting{
		{Name: "SMTP_RELAY_HOST", Aliases: []string{"RELAY_HOST"}, Derived: "smtp.gmail.com once there are credentials",
			Example: "smtp.gmail.com", Doc: "The upstream's name or address, without a port.", set: relayHost(&s.Relay.Host)},
		{Name: "SMTP_RELAY_PORT", Aliases: []string{"RELAY_PORT"}, Default: "587",
			Doc: "Its port. 465 means TLS from the first byte; on any other, STARTTLS.", set: integer(&s.Relay.Port, 65535)},
		{Name: "SMTP_RELAY_USERNAME", Aliases: []string{"RELAY_USERNAME", "RELAY_USER"}, Example: "you@example.com",
			Doc: "The account's user name. None, and no password: no login, as for a smarthost on your network.",
			set: username(&s.Relay.Username)},
		{Name: "SMTP_RELAY_PASSWORD", Aliases: []string{"RELAY_PASSWORD"}, Secret: true, Example: "'the password'",
			Doc: "The account's password. Put it in 'single quotes', then every character stands for itself. " +
				"Gmail wants an app password; the spaces that Google shows in it may stay.",
			set: credential(&s.Relay.Password)},
		{Name: "SMTP_RELAY_AUTH", Default: "plain,login,cram-md5",
			Doc: "The ways to log in that may be used, comma separated, in the order to try them, of those that the upstream offers.",
			set: mechanisms(&s.Relay.Mechanisms)},
		{Name: "USE_TLS", Default: "yes",
			Doc: "While this is yes, no mail and no password leaves without TLS.", set: yesNo(&s.Relay.UseTLS)},
		{Name: "TLS_VERIFY", Default: "yes", Doc: "Verify the upstream's certificate and its name.",
			set: yesNo(&s.Relay.VerifyTLS)},
		{Name: "SMTP_RELAY_CA_FILE", Example: "/etc/ssl/my-ca.pem",
			Doc: "A PEM file of certificate authorities to trust for the upstream, besides the system's.",
			set: text(&s.relayCAFile)},
		{Name: "LONG_LINES", Default: "encode",
			Doc: "What becomes of lines beyond 998 bytes, which many servers refuse or cut. encode: such a part of a mail is encoded, and such a " +
				"header folded, where that breaks no signature. keep: they are sent as they are.",
			set: longLines(&s.Relay.LongLines)},
		{Name: "SMTP_RELAY_CONNECTIONS", Default: "10", Doc: "How many connections to the upstream may be open at once.",
			set: integer(&s.Relay.Connections, 1000)},
		{Name: "SMTP_RELAY_RECIPIENTS", Default: "50",
			Doc: "How many recipients of a mail go to the upstream in one transaction; the others follow in further ones. " +
				"An upstream that says it takes fewer gets fewer.",
			set: integer(&s.Relay.Recipients, 100_000)},
	}}
}

func (s *Settings) web() Group {
	return Group{"Websites and applications", "Who may send what over HTTP. A visitor of a website can only write to you; " +
		"an application with a key, or a program on this machine, to anyone.", []Setting{
		{Name: "ALLOWED_HOSTS", Derived: "MAIL_DOMAIN", Example: "example.com,*.example.com,https://shop.example.com:8443",
			Doc: "The websites whose pages may send, comma separated: a bare host (http and https, any port, exactly that host), " +
				"*.host for the hosts below it, or a whole origin.",
			set: origins(&s.allowedHosts)},
		{Name: "FORM_RECIPIENTS", Derived: "DEFAULT_TO and the addresses at MAIL_DOMAIN", Example: "info@example.com,@example.com",
			Doc: "To whom visitors may write, comma separated: addresses, or @domain for all of a domain.",
			set: recipients(&s.formRecipients)},
		{Name: "FORM_RATE_LIMIT", Default: "10/min",
			Doc: "How many mails a visitor's address may send: 10/min, 100/h, 5/30s. 0 switches the limit off.",
			set: rate(&s.HTTP.FormRate)},
		{Name: "API_KEYS", Secret: true, Example: "shop:KEY,blog:KEY:blog@example.com|@blog.example.com",
			Doc: "Keys for applications, comma separated: name:key, or name:key:from|from where each from is an address, @domain or *. " +
				"Without from: the addresses at MAIL_DOMAIN. A key has at least 16 characters; make one with: openssl rand -hex 20.",
			set: keys(&s.Account.Keys)},
		{Name: "HTTP_MAX_BODY", Default: "35MiB",
			Doc: "The largest request. base64 makes attachments a third larger, so this is above MESSAGE_MAX_BYTES.",
			set: size(&s.HTTP.MaxBody, 1<<10)},
	}}
}

func (s *Settings) doors() Group {
	return Group{"Doors", "Where the appliance listens and whom it trusts. Lists are comma separated; off closes a door.",
		[]Setting{
			{Name: "SMTP_LISTEN", Restart: true, Default: "127.0.0.1:587,127.0.0.1:25",
				Doc: "SMTP submission, with STARTTLS when there is a certificate. In development mode 2587 and 2525 take over where these need rights.",
				set: listen(&s.SMTPListen)},
			{Name: "SMTPS_LISTEN", Restart: true, Example: "0.0.0.0:465",
				Doc: "SMTP submission with TLS from the first byte. Needs a certificate.", set: listen(&s.SMTPSListen)},
			{Name: "HTTP_LISTEN", Restart: true, Default: "127.0.0.1:20001", Doc: "The HTTP API.", set: listen(&s.HTTPListen)},
			{Name: "TRUSTED_NETWORKS", Default: "127.0.0.0/8,::1/128",
				Doc: "Networks whose programs may send to anyone without login: addresses or CIDR. Behind Docker's NAT " +
					"everybody may come from one address: trust a network only when strangers cannot come through it.",
				set: networks(&s.SMTP.Trusted)},
			{Name: "LOCAL_HTTP", Default: "yes",
				Doc: "Whether programs of TRUSTED_NETWORKS may send to anyone over HTTP without a key. With no they show one of API_KEYS, or use " +
					"SMTP or sendmail: then a reverse proxy on this machine that adds no header makes no stranger look like a program.",
				set: yesNo(&s.localHTTP)},
			{Name: "TRUSTED_PROXIES", Example: "172.18.0.0/16",
				Doc: "Reverse proxies that are believed who the client is: addresses or CIDR. They name it in X-Forwarded-For, Forwarded or X-Real-IP.",
				set: networks(&s.HTTP.TrustedProxies)},
			{Name: "SUBMIT_GROUP", Restart: true, Example: "dinkymail",
				Doc: "The group whose members may send with the program sendmail, by name or number: www-data for PHP and the users whose " +
					"cron jobs send mail belong into it. The appliance's own user must be a member, too. Without it only root and that user may.",
				set: text(&s.Maildrop.Group)},
			{Name: "SUBMIT_DIR", Restart: true, Default: "submit",
				Doc: "Where sendmail hands mail in, and leaves it while the appliance is down. A relative one counts from DATA_DIR. " +
					"sendmail finds submit in a DATA_DIR of data beside the binary or of /var/lib/dinkymail by itself; elsewhere those who " +
					"may not read the settings need DINKYMAIL_SUBMIT_DIR in their environment.",
				set: text(&s.Maildrop.Dir)},
			{Name: "SUBMIT_MAX_MESSAGES", Default: "10000",
				Doc: "How many mails may wait there while the appliance takes none; beyond, sendmail says to try again later.",
				set: integer(&s.Maildrop.MaxMessages, 1_000_000)},
			{Name: "SUBMIT_MAX_BYTES", Default: "1GiB", Doc: "How many bytes may wait there, likewise.",
				set: size(&s.Maildrop.MaxBytes, 1<<20)},
			{Name: "TLS_CERT_FILE", Example: "/etc/letsencrypt/live/mail.example.com/fullchain.pem",
				Doc: "Your certificate chain in PEM, read again at a reload.", set: text(&s.certFile)},
			{Name: "TLS_KEY_FILE", Example: "/etc/letsencrypt/live/mail.example.com/privkey.pem",
				Doc: "Its private key in PEM.", set: text(&s.keyFile)},
		}}
}

func (s *Settings) submission() Group {
	return Group{"SMTP submission", "Who may log in, and the limits of a connection.", []Setting{
		{Name: "SMTP_USERS", Secret: true, Example: `'ada:$2a$10$…,grace:$argon2id$v=19$m=19456,t=2,p=1$…'`,
			Doc: "Accounts for SMTP clients, comma separated (one a line in the file form): name:hash, as `dinkymail user hash` prints them. " +
				"Use 'single quotes': hashes contain $.",
			set: users(&s.Account.Users)},
		{Name: "SMTP_MAX_CONNECTIONS", Default: "1000",
			Doc: "SMTP connections at once; a tenth of them is kept for TRUSTED_NETWORKS.", set: integer(&s.SMTP.MaxConnections, 1_000_000)},
		{Name: "SMTP_MAX_CONNECTIONS_PER_CLIENT", Default: "200", Doc: "SMTP connections at once from one address.",
			set: integer(&s.SMTP.MaxConnectionsPerClient, 1_000_000)},
		{Name: "MESSAGE_MAX_BYTES", Default: "25MiB", Doc: "The largest message.", set: size(&s.Queue.MaxMessageBytes, 1<<10)},
		{Name: "MESSAGE_MAX_RECIPIENTS", Default: "1000",
			Doc: "Recipients of one message.", set: integer(&s.Queue.MaxRecipients, 100_000)},
	}}
}

func (s *Settings) addresses() Group {
	return Group{"Aliases", "Who an address really is. The files are read again within a second of a change.", []Setting{
		{Name: "ALIASES_FILE", Example: "/etc/aliases",
			Doc: "Files in the form of aliases(5), comma separated: who gets mail to a name at MAIL_DOMAIN or on this machine. " +
				"Lists and :include: are followed; programs and files as targets are refused. Mail to a mailbox on this machine " +
				"(root@localhost, or just root) without an alias goes to DEFAULT_TO; just root is refused where that is not set.",
			set: files(&s.Aliases.Aliases)},
		{Name: "VIRTUAL_FILE", Example: "/etc/dinkymail/virtual",
			Doc: "Files of lines such as \"info@example.com ada@example.net, bob@example.net\" or \"@old.example @new.example\", " +
				"comma separated. They come before ALIASES_FILE.",
			set: files(&s.Aliases.Virtual)},
		{Name: "SENDERS_FILE", Example: "/etc/dinkymail/senders",
			Doc: "A file of lines such as \"www-data@web1 shop@example.com\": whom local senders go out as. Those it does not name " +
				"(root, www-data@web1) go out as DEFAULT_FROM. What it was is kept in X-Original-From.",
			set: text(&s.Aliases.Senders)},
	}}
}

func (s *Settings) queue() Group {
	return Group{"Queue", "Durations are such as 30s, 10m, 12h, 5d. Sizes are bytes or 25MiB, 10GiB (M and MB mean MiB).",
		[]Setting{
			{Name: "DATA_DIR", Restart: true, Default: "data", Derived: "data, or what systemd gives as STATE_DIRECTORY",
				Doc: "Where accepted mail is kept. Back it up; never share it between two appliances. A relative one in a file counts from " +
					"that file's directory.",
				set: text(&s.DataDir)},
			{Name: "QUEUE_RETRY", Default: "1m,2m,5m,10m,20m,40m,1h",
				Doc: "How long to wait after each attempt that was deferred; the last repeats.",
				set: durations(&s.Queue.Retry)},
			{Name: "QUEUE_LIFETIME", Default: "5d",
				Doc: "How long to keep trying before the sender is told that it failed.",
				set: duration(&s.Queue.Lifetime)},
			{Name: "QUEUE_MAX_BYTES", Default: "10GiB",
				Doc: "The most bytes of waiting mail and of its records, which name its recipients and what was tried; beyond, mail is refused for " +
					"the time being.",
				set: size(&s.Queue.MaxBytes, 1<<20)},
			{Name: "QUEUE_MAX_MESSAGES", Default: "1000000",
				Doc: "The most waiting messages; beyond, mail is refused for the time being.",
				set: integer(&s.Queue.MaxMessages, 1_000_000_000)},
			{Name: "HISTORY_RETENTION", Default: "30d",
				Doc: "How long the record of finished mail stays, without its body.",
				set: duration(&s.Queue.HistoryRetention)},
			{Name: "TRASH_RETENTION", Default: "24h",
				Doc: "How long removed mail can be brought back with `dinkymail undo`.",
				set: duration(&s.Queue.TrashRetention)},
			{Name: "CAPTURED_MAX", Default: "1000",
				Doc: "Captured messages kept in development mode; the oldest make room.",
				set: integer(&s.Queue.MaxCaptured, 1_000_000)},
		}}
}

func (s *Settings) operation() Group {
	return Group{"Operation", "", []Setting{
		{Name: "LOG_FORMAT", Restart: true, Default: "text", Doc: "text or json.", set: choice(&s.LogFormat, "text", "json")},
		{Name: "LOG_LEVEL", Default: "info", Doc: "debug, info, warn or error.", set: level(&s.LogLevel)},
		{Name: "LOG_KEEP", Restart: true, Default: "32MiB",
			Doc: "How much of the newest log is kept in DATA_DIR/log besides, for `dinkymail log ID`. 0 keeps none.",
			set: size(&s.LogKeep, 0)},
		{Name: "ALERT_WEBHOOK", Secret: true, Example: "https://ntfy.sh/your-topic",
			Doc: "Where to tell that mail is stuck or waits for the upstream, that the disk fills up or a certificate ends: once when it begins and once when " +
				"it is over. A URL of ntfy or Slack, or any other, which gets JSON; slack:, ntfy: or json: before it says which form.",
			set: webhook(&s.Alert.Webhook)},
		{Name: "ALERT_AFTER", Default: "1h", Doc: "How old the oldest waiting mail must be to be called stuck.",
			set: duration(&s.Stuck)},
		{Name: "SHUTDOWN_GRACE", Default: "30s",
			Doc: "How long transactions in flight may take to finish when the appliance is stopped.",
			set: duration(&s.Queue.Grace)},
	}}
}

func level(to *slog.Level) func(string) error {
	return func(text string) error {
		var word string
		if err := choice(&word, "debug", "info", "warn", "error")(text); err != nil {
			return err
		}
		return to.UnmarshalText([]byte(word))
	}
}
