package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dinkymail/internal/measure"
	"dinkymail/operate"
	"dinkymail/queue"
)

// metrics is what GET /metrics tells: the queue as it is when asked, our own requests, and the
// process.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(q Queue, version string, vitals func() Vitals) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dinkymail_http_requests_total", Help: "HTTP requests answered.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dinkymail_http_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
		}, []string{"route"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "dinkymail_build_info", Help: "1; the version is the label.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.seconds, build, queueCollector{q, vitals},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return m
}

func (m *metrics) count(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// showMetrics is GET /metrics.
func (s *Server) showMetrics(w http.ResponseWriter, r *http.Request) error {
	who, err := s.callers.identify(r)
	if err != nil {
		return err
	}
	if who.rank == visitor {
		return localOnly(who)
	}
	s.metrics.handler.ServeHTTP(w, r)
	return nil
}

// localOnly refuses a visitor what only the owner may see.
func localOnly(who caller) *operate.Error {
	return refuse(operate.CodeLocal,
		"Only a program on this machine may read this. The caller counts as a visitor because "+who.why+".")
}

// queueCollector turns the queue's status into metrics when it is asked.
type queueCollector struct {
	queue  Queue
	vitals func() Vitals
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dinkymail_"+name, help, labels, nil)
}

var (
	descMessages   = describe("queue_messages", "Messages kept, by what they are; held is a part of waiting.", "status")
	descBytes      = describe("queue_bytes", "Bytes of the bodies of waiting messages.")
	descRecords    = describe("queue_record_bytes", "Bytes of the records of waiting messages; with those of the bodies they count towards QUEUE_MAX_BYTES.")
	descOldest     = describe("queue_oldest_seconds", "Age of the oldest waiting message; 0 without one.")
	descDamaged    = describe("queue_damaged_records", "Records set aside because they could not be read, and messages whose body could not be.")
	descBroken     = describe("queue_broken", "1 when the queue neither takes nor delivers mail.")
	descSubmitted  = describe("messages_accepted_total", "Messages accepted since the start.")
	descRecipients = describe("recipients_total", "Outcomes of attempts since the start, one for each recipient tried.",
		"outcome")
	descBounces  = describe("bounces_total", "Bounces written since the start.")
	descLost     = describe("notices_lost_total", "Bounces, and other mail from the null sender, that reached nobody since the start.")
	descWaiting  = describe("lane_waiting", "1 while the lane waits for its next hop.", "lane")
	descInFlight = describe("lane_in_flight", "Messages that are being handed over.", "lane")
	descWidth    = describe("lane_concurrency", "Messages that may be handed over at a time, as the next hop was found to take them.", "lane")
	descPaused   = describe("paused", "1 while an operator has this paused: intake or a lane.", "what")
	descResults  = describe("attempts_total", "Results of attempts since the start, one for each recipient tried, by outcome and by what "+
		"was behind it: 2xx, 4xx, 5xx, network, local, unreachable, credentials, quota or busy.", "outcome", "class")
	descDelivery = describe("delivery_seconds", "From a message's acceptance to the delivery to each of its recipients.")
	descAttempt  = describe("attempt_seconds", "How long attempts took.")
	descSync     = describe("store_sync_seconds", "How long the disk took to keep what was written; accepted mail waits for that.")
	descFree     = describe("data_dir_free_bytes", "Free on the disk of DATA_DIR.")
	descEnds     = describe("certificate_end_seconds", "When the certificate ends, in seconds since 1970.", "whose")
)

// Describe sends every description.
func (queueCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{descMessages, descBytes, descRecords, descOldest, descDamaged, descBroken, descSubmitted,
		descRecipients, descBounces, descWaiting, descInFlight, descWidth, descPaused, descResults, descDelivery, descAttempt, descSync,
		descFree, descEnds, descLost} {
		out <- d
	}
}

// Collect asks the queue once and sends all of it.
func (c queueCollector) Collect(out chan<- prometheus.Metric) {
	s := c.queue.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(descMessages, float64(s.Store.Waiting), "waiting")
	gauge(descMessages, float64(s.Store.Finished), "finished")
	gauge(descMessages, float64(s.Store.Captured), "captured")
	gauge(descMessages, float64(s.Store.Held), "held")
	gauge(descMessages, float64(s.Store.Removed), "removed")
	gauge(descBytes, float64(s.Store.Bytes))
	gauge(descRecords, float64(s.Store.Records))
	gauge(descOldest, age(s.Store.Oldest))
	gauge(descDamaged, float64(s.Store.Damaged))
	gauge(descBroken, flag(s.Broken != nil))
	counter(descSubmitted, s.Submitted)
	counter(descRecipients, s.Delivered, "delivered")
	counter(descRecipients, s.Failed, "failed")
	counter(descRecipients, s.Deferred, "deferred")
	counter(descBounces, s.Bounces)
	counter(descLost, s.Lost)
	for _, l := range s.Lanes {
		gauge(descWaiting, flag(l.State == queue.LaneWaiting), l.Name)
		gauge(descPaused, flag(l.State == queue.LanePaused), l.Name)
		gauge(descInFlight, float64(l.InFlight), l.Name)
		gauge(descWidth, float64(l.Concurrency), l.Name)
	}
	intake := slices.ContainsFunc(s.Paused, func(p queue.PauseStatus) bool { return p.What == queue.Intake })
	gauge(descPaused, flag(intake), queue.Intake)
	m := c.queue.Meters()
	for _, r := range m.Results {
		counter(descResults, r.N, r.Outcome.String(), r.Class)
	}
	for desc, spread := range map[*prometheus.Desc]measure.Spread{descDelivery: m.Delivery, descAttempt: m.Attempt, descSync: m.Sync} {
		out <- prometheus.MustNewConstHistogram(desc, spread.Count, spread.Sum, spread.UpTo)
	}
	v := c.vitals()
	if v.Size > 0 {
		gauge(descFree, float64(v.Free))
	}
	for whose, end := range v.Certificates {
		gauge(descEnds, float64(end.Unix()), whose)
	}
}

func age(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t).Seconds())
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
