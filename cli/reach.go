package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/httpapi"
)

// appliance is the running appliance: at a given address, else over its control socket, else where
// HTTP_LISTEN says.
func (p *program) appliance(ctx context.Context, url string) (*httpapi.Client, error) {
	if url != "" {
		s, _ := config.Load(p.Environ, p.dotenv) // for a key, where there is one
		return httpapi.NewClient(url, widestKey(s)), nil
	}
	client, s, err := p.running(ctx)
	if err == nil {
		client.Close()
		return httpapi.NewSocketClient(filepath.Join(s.DataDir, control.Socket)), nil
	}
	var absent *absentError
	if !errors.As(err, &absent) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if url = apiURL(s); url == "" {
		return nil, err
	}
	if absent != nil && knock(ctx, "tcp", strings.TrimPrefix(url, "http://")) != nil {
		return nil, world.Failf(world.ExitUnavailable, "the appliance does not run: nobody answers at %s (%s), nor at %s; "+
			"start it with systemctl start dinkymail, or dinkymail serve. If it runs elsewhere, name its settings with --env-file, "+
			"or its address with --url", absent.socket, world.Cause(absent.err), url)
	}
	return httpapi.NewClient(url, widestKey(s)), nil
}

// knock tries whether somebody takes connections at an address.
func knock(ctx context.Context, network, address string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// apiURL is where this machine reaches the API; "" when nothing listens.
func apiURL(s *config.Settings) string {
	if len(s.HTTPListen) == 0 {
		return ""
	}
	return reach(s.HTTPListen[0])
}

// reach is the URL under which this machine reaches what listens at an address.
func reach(listen string) string {
	host, port, _ := net.SplitHostPort(listen) // config checked it, or the listener said it
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// widestKey is a key that may send from DEFAULT_FROM, for the case that loopback is not trusted; ""
// without one.
func widestKey(s *config.Settings) string {
	address := s.HTTP.DefaultFrom.Address
	for _, k := range s.Account.Keys {
		for _, from := range k.From {
			if from == "*" || from == "@"+address.Domain || from == address.String() {
				return k.Secret
			}
		}
	}
	return ""
}
