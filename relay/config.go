package relay

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"strings"
	"time"
)

// Config says where the next hop is and how to talk to it. The zero value has no next hop: see [Relay.Ready].
type Config struct {
	Host string // empty: none
	Port int    // 0 means 587; 465 means TLS from the first byte

	// ImplicitTLS asks for TLS from the first byte on another port than 465.
	ImplicitTLS bool
	// UseTLS demands STARTTLS before mail and password; without it there is no TLS, except from the first byte.
	UseTLS bool
	// VerifyTLS checks the certificate's chain and that it is for Host.
	VerifyTLS bool
	RootCAs   *x509.CertPool // nil: the system's

	Resolver *net.Resolver // finds Host's addresses; nil: the system's

	Username, Password string   // no Username: no AUTH
	Mechanisms         []string // of AUTH, in the order to try them; nil means all of [Mechanisms]

	Hostname string // for EHLO; empty means localhost

	LongLines bool // lines beyond 998 bytes stay as they are

	// PerConnection, Recipients and IdleTimeout are learnedLimit while the next hop's replies ask for
	// less.
	Connections   int           // open at once; 0 means 10
	PerConnection int           // messages over one connection; 0 means 100
	Recipients    int           // in one transaction; 0 means 50
	MaxAge        time.Duration // of a connection that is to take another message; 0 means 10 minutes
	IdleTimeout   time.Duration // how long a connection is kept without mail; 0 means 30 seconds

	// ConnectDelay is how long a connection may take before the next address is tried beside it; 0
	// means 250 milliseconds (RFC 8305, 5). GreetingDelay is how long the next hop may take to
	// greet, and to answer EHLO, before another connection is tried beside; 0 means 2 seconds.
	ConnectDelay, GreetingDelay time.Duration

	// How long to wait at most: to be connected, TLS included; for the greeting; for the reply to a command; for the 354; for
	// each write to be taken; and for the reply to the whole message. Zero means what RFC 5321, 4.5.3.2 asks for, but for
	// ConnectTimeout: 30 seconds, 5 minutes, 5 minutes, 2 minutes, 3 minutes, 10 minutes.
	ConnectTimeout, GreetingTimeout, CommandTimeout, DataTimeout, WriteTimeout, BodyTimeout time.Duration
}

func (cfg Config) withDefaults() Config {
	or(&cfg.Port, 587)
	or(&cfg.Connections, 10)
	or(&cfg.PerConnection, 100)
	or(&cfg.Recipients, 50)
	or(&cfg.MaxAge, 10*time.Minute)
	or(&cfg.IdleTimeout, 30*time.Second)
	or(&cfg.ConnectDelay, 250*time.Millisecond)
	or(&cfg.GreetingDelay, 2*time.Second)
	or(&cfg.ConnectTimeout, 30*time.Second)
	or(&cfg.GreetingTimeout, 5*time.Minute)
	or(&cfg.CommandTimeout, 5*time.Minute)
	or(&cfg.DataTimeout, 2*time.Minute)
	or(&cfg.WriteTimeout, 3*time.Minute)
	or(&cfg.BodyTimeout, 10*time.Minute)
	if len(cfg.Mechanisms) == 0 {
		cfg.Mechanisms = Mechanisms
	}
	if cfg.Hostname == "" {
		cfg.Hostname = "localhost"
	}
	return cfg
}

func or[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

func (cfg *Config) address() string { return net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)) }

// implicit reports whether TLS begins with the first byte.
func (cfg *Config) implicit() bool { return cfg.ImplicitTLS || cfg.Port == 465 }

func (cfg *Config) tls() *tls.Config {
	return &tls.Config{
		ServerName:         strings.TrimSuffix(cfg.Host, "."),
		RootCAs:            cfg.RootCAs,
		InsecureSkipVerify: !cfg.VerifyTLS, //nolint:gosec // TLS_VERIFY=no says so
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(cfg.Connections),
	}
}
