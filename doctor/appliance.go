package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"dinkymail/operate"
	"dinkymail/queue"
)

// patience is how long a mail may wait without a word about it.
const patience = time.Hour

// appliance asks the running one how it is, and what its queue holds.
func (e *exam) appliance(ctx context.Context) []Finding {
	if errors.Is(e.Unreachable, fs.ErrPermission) {
		return []Finding{{Check: "running", Level: Warning, What: e.Unreachable.Error(), Why: "whether it runs is not known",
			Fix: "sudo dinkymail doctor"}}
	}
	if e.Operator == nil {
		what := "the appliance does not run, or does not answer"
		if e.Unreachable != nil {
			what = e.Unreachable.Error()
		}
		return []Finding{{Check: "running", Level: Error, What: what, Why: "nobody takes mail in, and none goes out", Fix: startIt}}
	}
	h, err := e.API.Health(ctx)
	running := Finding{Check: "running", Level: OK, What: "it runs and answers"}
	switch {
	case err != nil:
		running = Finding{Check: "running", Level: Error, What: "the appliance is not well: " + err.Error(), Why: "no mail is taken in",
			Fix: "its log says more: journalctl -u dinkymail, or docker compose logs mail"}
	case h.Detail.Version != "" && h.Detail.Version != e.Version:
		running = Finding{Check: "running", Level: Warning,
			What: fmt.Sprintf("version %s runs, and this program is %s", h.Detail.Version, e.Version),
			Why:  "what this program says of the settings may not hold for the one that runs", Fix: "restart the appliance"}
	case h.Detail.Version != "":
		running.What = "version " + h.Detail.Version + " runs and answers"
	}
	found := []Finding{running}
	if peers := h.Detail.UntrustedProxies; len(peers) > 0 {
		found = append(found, e.untrusted(peers))
	}
	st, err := e.Operator.Stats(ctx)
	if err != nil {
		return append(found, Finding{Check: "queue", Level: Warning, What: "the queue cannot be asked about: " + err.Error()})
	}
	return append(found, e.queue(st)...)
}

// untrusted names proxies that the appliance has seen and does not believe.
func (e *exam) untrusted(peers []string) Finding {
	value := peers
	if known := prefixes(e.Settings.HTTP.TrustedProxies); known != "" {
		value = append(strings.Split(known, ", "), peers...)
	}
	return Finding{Check: "proxies", Level: Warning,
		What: strings.Join(peers, ", ") + " passed requests on, and is not in TRUSTED_PROXIES",
		Why:  "all visitors who come through a proxy that is not trusted share one FORM_RATE_LIMIT",
		Fix:  "if that is your reverse proxy: " + e.line("TRUSTED_PROXIES", strings.Join(value, ","))}
}

// queue tells what is not as it should be in the queue.
func (e *exam) queue(st operate.Stats) []Finding {
	var all []Finding
	add := func(level Level, what, why, fix string) {
		all = append(all, Finding{Check: "queue", Level: level, What: what, Why: why, Fix: fix})
	}
	if st.Broken != "" {
		add(Error, st.Broken, "delivery stands still, so that nothing is sent twice", "make room in DATA_DIR, or restart once the disk is mended")
	}
	for _, l := range st.Lanes {
		if l.Status == queue.LaneWaiting && !e.Settings.Development && e.Settings.Relay.Host != "" {
			add(Warning, "the lane "+l.Name+" waits: "+l.Reason, "its mail waits, and goes out by itself once this is mended",
				"dinkymail queue --lane "+l.Name+" lists what waits")
		}
	}
	for _, p := range st.Paused {
		add(Warning, paused(p), "somebody paused it, and it stays so over restarts", "dinkymail resume "+p.What)
	}
	if st.Damaged > 0 {
		add(Warning, many(st.Damaged, "record")+" could not be read", "bytes on the disk changed; DATA_DIR/damaged has what could not be read, or the "+
			"IDs of mail whose text could not be", "look at the disk (dmesg, smartctl), and keep that directory")
	}
	if st.Oldest != nil && st.Waiting > 0 {
		if age := e.Now().Sub(*st.Oldest); age > patience && !e.Settings.Development {
			add(Warning, "the oldest mail waits for "+roughly(age), "after "+roughly(e.Settings.Queue.Lifetime)+" its sender is told that it failed",
				"dinkymail queue shows why it waits")
		}
	}
	if limit := e.Settings.Queue.MaxBytes; limit > 0 && st.Bytes+st.Records > limit/10*8 {
		add(Warning, fmt.Sprintf("the queue has %s of the %s that it may have", bytes(st.Bytes+st.Records), bytes(limit)),
			"beyond, mail is refused for the time being", e.line("QUEUE_MAX_BYTES", fmt.Sprintf("%dMiB", limit*2>>20)))
	}
	if len(all) > 0 {
		return all
	}
	what := "nothing waits"
	if st.Waiting > 0 {
		what = many(st.Waiting, "message") + " waiting"
	}
	return []Finding{{Check: "queue", Level: OK, What: what}}
}

func paused(p queue.PauseStatus) string {
	what := p.What + " is paused since " + p.Since.Format(time.RFC3339)
	if p.By != "" {
		what += " by " + p.By
	}
	if p.Reason != "" {
		what += ": " + p.Reason
	}
	return what
}

// roughly is a time as people say it.
func roughly(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return many(int(d.Hours()/24), "day")
	case d >= 2*time.Hour:
		return many(int(d.Hours()), "hour")
	default:
		return many(int(d.Minutes()), "minute")
	}
}
