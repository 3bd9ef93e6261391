package lane

import "time"

// Kind is why a lane waits. The zero value is None: it flows.
type Kind uint8

// Nobody answers there, our credentials are refused, a sending quota is used up, or the next hop
// wants fewer connections at a time; and the two that no attempt brings about.
const (
	None Kind = iota
	Unreachable
	Credentials
	Quota
	Busy
	NotConfigured // there is nothing to deliver with
	Development   // nothing leaves the machine
)

// String is the word used in the log and the API.
func (k Kind) String() string {
	return [...]string{"", "unreachable", "credentials", "quota", "busy", "not configured", "development"}[k]
}

// waits is how long to wait before the first probe, and at most.
func (k Kind) waits() (first, most time.Duration) {
	if k == Unreachable || k == Busy {
		return time.Second, time.Minute
	}
	return time.Minute, 15 * time.Minute
}

// remedy is what the operator can do where nobody knows better.
func (k Kind) remedy() string {
	switch k {
	case Credentials:
		return "correct SMTP_RELAY_USERNAME and SMTP_RELAY_PASSWORD, " + ThenReload + "; all mail is kept"
	case Quota:
		return "mail flows when the provider allows more; raise the limit there if this is too slow; all mail is kept"
	case Busy:
		return "mail flows when it takes more; if this comes often, lower SMTP_RELAY_CONNECTIONS; all mail is kept"
	default:
		return "mail flows when it answers; if it never does, check SMTP_RELAY_HOST, SMTP_RELAY_PORT and the network"
	}
}

// ThenReload is what a change of the settings takes.
const ThenReload = "then dinkymail reload (in a container: docker compose up -d)"
