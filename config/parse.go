package config

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dinkymail/alert"
	"dinkymail/httpapi"
	"dinkymail/message"
	"dinkymail/relay"
)

func text(to *string) func(string) error {
	return func(text string) error {
		*to = text
		return nil
	}
}

// webhook reads where alerts go.
func webhook(to *string) func(string) error {
	return func(text string) error {
		if _, err := alert.ParseWebhook(text); err != nil {
			return bad(err.Error(), "give a URL such as https://ntfy.sh/your-topic or slack:https://chat.example.com/hooks/x")
		}
		*to = text
		return nil
	}
}

// files reads a comma-separated list of file names.
func files(to *[]string) func(string) error {
	return func(text string) error {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				*to = append(*to, name)
			}
		}
		return nil
	}
}

// username is a credential that people see and type: nothing in it is invisible.
func username(to *string) func(string) error {
	return func(text string) error {
		if hidden := message.Invisible(text); hidden != "" {
			return bad("has an invisible character in it: "+hidden, "write it anew")
		}
		return credential(to)(text)
	}
}

// credential is a text that can be sent in AUTH.
func credential(to *string) func(string) error {
	return func(text string) error {
		if strings.ContainsAny(text, "\r\n\x00") {
			return bad("contains a line break or a NUL character", "write it on one line")
		}
		*to = text
		return nil
	}
}

// mechanisms reads a list of names of AUTH mechanisms.
func mechanisms(to *[]string) func(string) error {
	known := strings.ToLower(strings.Join(relay.Mechanisms, ", "))
	return func(text string) error {
		var names []string
		for _, name := range strings.FieldsFunc(strings.ToUpper(text), func(r rune) bool { return r == ',' || r == ' ' }) {
			if name = strings.ReplaceAll(name, "_", "-"); !slices.Contains(relay.Mechanisms, name) {
				return bad("names a way to log in that is not known: "+strings.ToLower(name), "write one or more of "+known)
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if names == nil {
			return bad("names no way to log in", "write one or more of "+known)
		}
		*to = names
		return nil
	}
}

func yesNo(to *bool) func(string) error {
	return func(text string) error {
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "yes", "true", "on", "1", "y":
			*to = true
		case "no", "false", "off", "0", "n":
			*to = false
		default:
			return bad("is neither yes nor no", "write yes or no")
		}
		return nil
	}
}

func choice(to *string, words ...string) func(string) error {
	return func(text string) error {
		text = strings.ToLower(strings.TrimSpace(text))
		if !slices.Contains(words, text) {
			return bad("is none of "+strings.Join(words, ", "), "write one of these")
		}
		*to = text
		return nil
	}
}

// longLines reads what becomes of lines that are too long for some servers.
func longLines(keep *bool) func(string) error {
	return func(text string) error {
		var word string
		if err := choice(&word, "encode", "keep")(text); err != nil {
			return err
		}
		*keep = word == "keep"
		return nil
	}
}

func environment(development *bool) func(string) error {
	return func(text string) error {
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "production", "prod":
			*development = false
		case "development", "dev":
			*development = true
		default:
			return bad("is neither production nor development", "write one of the two")
		}
		return nil
	}
}

// integer reads a number from 1 to high.
func integer(to *int, high int) func(string) error {
	remedy := fmt.Sprintf("write a number from 1 to %d", high)
	return func(text string) error {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return bad("is no whole number", remedy)
		}
		if n < 1 || n > high {
			return bad("is out of range", remedy)
		}
		*to = n
		return nil
	}
}

var sizeForm = regexp.MustCompile(`^(\d+)\s*(?:([kmgt])(?:i?b)?|b)?$`)

// size reads a number of bytes. All units are powers of 1024.
func size(to *int64, low int64) func(string) error {
	const remedy = "write bytes, or a number with KiB, MiB or GiB, such as 25MiB"
	return func(text string) error {
		m := sizeForm.FindStringSubmatch(strings.ToLower(strings.TrimSpace(text)))
		if m == nil {
			return bad("is no size", remedy)
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		shift := map[string]int{"": 0, "k": 10, "m": 20, "g": 30, "t": 40}[m[2]]
		if err != nil || n > math.MaxInt64>>shift {
			return bad("is too large a size", remedy)
		}
		if n <<= shift; n < low {
			return bad(fmt.Sprintf("is too small; the least is %d bytes", low), remedy)
		}
		*to = n
		return nil
	}
}

var days = regexp.MustCompile(`^(\d{1,6})d`)

// longest bounds durations, so that no sum of time and duration overflows.
const longest = 100 * 365 * 24 * time.Hour

func parseDuration(text string) (time.Duration, error) {
	const remedy = "write a number with a unit, such as 30s, 10m, 12h or 5d"
	rest := strings.ToLower(strings.TrimSpace(text))
	var sum time.Duration
	if m := days.FindStringSubmatch(rest); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 36500 {
			return 0, bad("is too long a duration", remedy)
		}
		sum, rest = time.Duration(n)*24*time.Hour, rest[len(m[0]):]
	}
	if rest != "" || sum == 0 && text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
			return 0, bad("is no duration", remedy)
		}
		if d > longest {
			return 0, bad("is too long a duration", remedy)
		}
		sum += d
	}
	if sum > longest {
		return 0, bad("is too long a duration", remedy)
	}
	return sum, nil
}

// duration reads a span of time of a second at least.
func duration(to *time.Duration) func(string) error {
	return func(text string) error {
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		if d < time.Second {
			return bad("is too short", "write at least 1s")
		}
		*to = d
		return nil
	}
}

func durations(to *[]time.Duration) func(string) error {
	return func(text string) error {
		var all []time.Duration
		for _, part := range list(text) {
			d, err := parseDuration(part)
			if err != nil {
				return err
			}
			if d < time.Second {
				return bad(strconv.Quote(part)+" is under a second", "wait at least 1s between attempts")
			}
			all = append(all, d)
		}
		if len(all) == 0 {
			return bad("lists nothing", "write durations, comma separated, such as 1m,5m,1h")
		}
		*to = all
		return nil
	}
}

var rateForm = regexp.MustCompile(`^(\d{1,9})\s*(?:/|per)\s*(.+)$`)

// rate reads N/unit, where the unit is a word or a duration; 0 is no limit.
func rate(to *httpapi.Rate) func(string) error {
	const remedy = "write a number per time, such as 10/min, 100/h or 5/30s, or 0 for no limit"
	units := map[string]time.Duration{"s": time.Second, "sec": time.Second, "second": time.Second, "m": time.Minute,
		"min":    time.Minute,
		"minute": time.Minute, "h": time.Hour, "hour": time.Hour, "d": 24 * time.Hour, "day": 24 * time.Hour}
	return func(text string) error {
		text = strings.ToLower(strings.TrimSpace(text))
		if text == "0" || text == "off" {
			*to = httpapi.Rate{}
			return nil
		}
		m := rateForm.FindStringSubmatch(text)
		if m == nil {
			return bad("is no rate", remedy)
		}
		n, _ := strconv.Atoi(m[1]) // at most nine digits
		per, ok := units[m[2]]
		if !ok {
			var err error
			if per, err = parseDuration(m[2]); err != nil || per < time.Second {
				return bad("is no rate", remedy)
			}
		}
		if n == 0 {
			*to = httpapi.Rate{}
			return nil
		}
		*to = httpapi.Rate{N: n, Per: per}
		return nil
	}
}

// list splits at commas and line ends, and drops what is empty.
func list(text string) []string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	for i := range parts {
		parts[i] = message.TrimInvisible(parts[i])
	}
	return slices.DeleteFunc(parts, func(p string) bool { return p == "" })
}

// networks reads addresses and CIDR ranges.
func networks(to *[]netip.Prefix) func(string) error {
	return func(text string) error {
		all := []netip.Prefix{}
		for _, part := range list(text) {
			if strings.EqualFold(part, "none") {
				continue
			}
			if ip, err := netip.ParseAddr(part); err == nil && ip.Zone() == "" {
				ip = ip.Unmap()
				all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
				continue
			}
			p, err := netip.ParsePrefix(part)
			if err != nil {
				return bad(strconv.Quote(part)+" is neither an address nor a network",
					"write such as 10.0.0.7, 10.0.0.0/8 or fd00::/8, or none")
			}
			if p != p.Masked() {
				return bad(strconv.Quote(part)+" has bits set behind its prefix", "write "+p.Masked().String()+
					", or one address without /")
			}
			all = append(all, p)
		}
		*to = all
		return nil
	}
}

func mailbox(to *message.Mailbox) func(string) error {
	return func(text string) error {
		m, err := message.ParseMailbox(text)
		if err != nil {
			return bad("is no mail address: "+addressReason(err), "write an address such as you@example.com")
		}
		if m.Address.Domain == "" {
			return bad("has no domain", "write an address such as you@example.com")
		}
		*to = m
		return nil
	}
}
