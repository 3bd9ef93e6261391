package httpapi

import (
	"cmp"
	"net/http"
	"sync"
	"time"

	"dinkymail/internal/web"
	"dinkymail/operate"
	"dinkymail/queue"
	"dinkymail/queue/lane"
)

// health remembers how the last check went: visitors are told that for a second, because every
// check costs a write.
type health struct {
	queue Queue

	mu   sync.Mutex // guards what follows
	at   time.Time
	last error
	sick bool // the log was told
}

// check proves that mail can be stored. changed is true the first time an answer differs from the
// one before.
func (h *health) check(maxAge time.Duration) (err error, changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at.IsZero() || time.Since(h.at) >= maxAge {
		h.last = h.queue.Check()
		h.at = time.Now()
	}
	changed = (h.last != nil) != h.sick
	h.sick = h.last != nil
	return h.last, changed
}

// healthReport is the answer of /health.
type healthReport struct {
	operate.Body
	Status string      `json:"status"`           // ok, degraded or down
	Reason string      `json:"reason,omitempty"` // why it is not ok
	Checks healthCheck `json:"checks"`
	Detail *detail     `json:"detail,omitempty"` // for keys and programs on this machine
}

// healthCheck is one word per thing that must work.
type healthCheck struct {
	Store    string `json:"store"`    // ok or failed
	Delivery string `json:"delivery"` // ok, waiting, paused or captured
	Intake   string `json:"intake"`   // ok or paused
}

// detail is what the outside has no business to know.
type detail struct {
	Version string       `json:"version,omitempty"`
	Waiting int          `json:"waiting"`
	Bytes   int64        `json:"bytes"`
	Records int64        `json:"recordBytes"`
	Damaged int          `json:"damaged"`
	Lanes   []laneReport `json:"lanes"`
	// HTTP are the addresses of the API, and UntrustedProxies who passed requests on without being
	// in TRUSTED_PROXIES.
	HTTP             []string `json:"http,omitempty"`
	UntrustedProxies []string `json:"untrustedProxies,omitempty"`
}

type laneReport struct {
	Name   string          `json:"name"`
	Status queue.LaneState `json:"status"`
	Reason string          `json:"reason,omitempty"`
}

// laneReasons say to everybody why mail waits; LaneStatus.Reason, which may quote a next hop, is
// for the operator.
var laneReasons = map[string]string{
	lane.Unreachable.String():   "the next hop does not answer; mail is kept and tried again",
	lane.Credentials.String():   "the next hop refuses the credentials; mail is kept",
	lane.Quota.String():         "a sending quota is used up; mail is kept and tried again",
	lane.Busy.String():          "the next hop takes less mail at a time; mail is kept and tried again",
	lane.NotConfigured.String(): "no upstream configured",
}

// turnedFor is how long health tells that somebody was turned away.
const turnedFor = time.Minute

// showHealth is GET /health and GET /api/health.
func (s *Server) showHealth(w http.ResponseWriter, r *http.Request) error {
	who, _ := s.callers.identify(r) // whoever shows a wrong key still learns whether we are well
	maxAge := time.Second
	if who.rank != visitor {
		maxAge = 0
	}
	sick, changed := s.health.check(maxAge)
	status := s.queue.Status()
	if sick == nil {
		sick = status.Broken
	}
	report := s.report(status, sick)
	if changed && sick != nil {
		s.log.Error("store check failed", "err", sick)
	} else if changed {
		s.log.Info("store check passed again")
	}
	if who.rank != visitor {
		report.Detail = detailOf(status, s.cfg.Version)
		report.Detail.HTTP, report.Detail.UntrustedProxies = s.cfg.Listening, s.proxies.all()
		if sick != nil {
			report.Details = sick.Error()
		}
	}
	if sick != nil {
		w.Header().Set("Retry-After", "60")
		return web.Answer(w, http.StatusServiceUnavailable, report)
	}
	return web.Answer(w, http.StatusOK, struct {
		Success bool        `json:"success"`
		Message string      `json:"message"`
		Status  string      `json:"status"`
		Reason  string      `json:"reason,omitempty"`
		Checks  healthCheck `json:"checks"`
		Detail  *detail     `json:"detail,omitempty"`
	}{true, "Mail API service is running", report.Status, report.Reason, report.Checks, report.Detail})
}

func (s *Server) report(status queue.Status, sick error) healthReport {
	report := healthReport{Status: "ok", Checks: healthCheck{Store: "ok", Delivery: "ok", Intake: "ok"}}
	for _, l := range status.Lanes {
		if l.State == queue.LaneFlowing {
			continue
		}
		report.Status, report.Checks.Delivery = "degraded", string(l.State)
		report.Reason = cmp.Or(laneReasons[l.Kind], "mail is kept and waits")
		if l.State == queue.LanePaused {
			report.Reason = "the operator has paused delivery; mail is kept"
		}
	}
	if report.Status == "ok" && time.Since(time.Unix(0, s.turned.Load())) < turnedFor {
		report.Status, report.Reason = "degraded", "visitors are turned away, because all their connections are taken"
	}
	if s.cfg.Development {
		report.Status, report.Reason, report.Checks.Delivery = "ok", "", "captured"
	}
	for _, p := range status.Paused {
		if p.What == queue.Intake {
			report.Status, report.Reason, report.Checks.Intake = "degraded", "the operator has paused taking mail in", "paused"
		}
	}
	if sick != nil {
		report.Status, report.Checks.Store = "down", "failed"
		report.Reason = "mail cannot be stored"
		report.Body = refuse(operate.CodeUnavailable, "Mail cannot be stored now; see the log of the appliance.").Body()
	}
	return report
}

func detailOf(status queue.Status, version string) *detail {
	kept := status.Store
	d := &detail{Version: version, Waiting: kept.Waiting, Bytes: kept.Bytes, Records: kept.Records, Damaged: kept.Damaged, Lanes: []laneReport{}}
	for _, l := range status.Lanes {
		d.Lanes = append(d.Lanes, laneReport{l.Name, l.State, l.Reason})
	}
	return d
}
