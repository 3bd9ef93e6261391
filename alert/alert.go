// Package alert tells the operator that something needs a hand, by another way than the mail that
// may be what is broken.
//
// # What it promises
//
// Each condition is told once when it begins and once when it is over, restarts included: what was
// told is remembered in Config.File, and for two minutes after a start nothing that was told before
// it is told to be over: nobody has tried the upstream yet. An alert that cannot be posted is tried
// again at every look until it can, and the log says so once. Nothing here touches mail.
//
// # Limits
//
// Conditions are looked at every Config.Every. One that comes and goes in between is not seen, and
// one that must last before it is told (see Conditions) is not told when it does not. A post may
// take 15 seconds; answers are not read beyond 64 KiB, and a redirect is not followed: it could
// lead to what only this machine reaches.
//
// # Who runs where
//
// Run is one goroutine, which looks, posts and writes the file itself.
package alert

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"dinkymail/internal/disk"
)

// Condition is something that needs a hand.
type Condition struct {
	Key   string    `json:"key"`   // a stable word, such as "credentials"
	Text  string    `json:"text"`  // what is wrong
	Fix   string    `json:"fix"`   // what to do
	Since time.Time `json:"since"` // when it began
	// Early is one that has not lasted long enough to be told. Of one that was told it says that it
	// is not over.
	Early bool `json:"-"`
}

// Config says where alerts go.
type Config struct {
	Webhook  string        // see ParseWebhook; empty: nowhere
	Hostname string        // the appliance's name in the text
	File     string        // remembers what was told; empty: nothing does
	Every    time.Duration // between two looks; zero means 5 s
}

// Alerts posts what look finds. Make it with New.
type Alerts struct {
	cfg    Config
	hook   atomic.Pointer[Webhook]
	look   func(now time.Time) []Condition
	log    *slog.Logger
	client http.Client
	told   map[string]Condition
	mute   bool            // the last post failed, which the log knows
	began  time.Time       // when Run did
	before map[string]bool // what was told before that and has not been found since
}

// settled is how long after a start it takes until a condition that is not found is over: the lanes
// start as if all were well.
const settled = 2 * time.Minute

// New makes Alerts for the conditions that look returns: all that hold now. It opens and starts
// nothing.
func New(cfg Config, look func(now time.Time) []Condition, log *slog.Logger) *Alerts {
	if cfg.Every <= 0 {
		cfg.Every = 5 * time.Second
	}
	a := &Alerts{cfg: cfg, look: look, log: log, told: map[string]Condition{}, client: newClient()}
	a.Use(cfg.Webhook)
	return a
}

// Use replaces the webhook. What was told to the old one is not told again.
func (a *Alerts) Use(webhook string) {
	hook, _ := ParseWebhook(webhook) // config refused a bad one
	a.hook.Store(&hook)
}

// newClient posts to one address and to none that this one names.
func newClient() http.Client {
	return http.Client{
		Timeout:       15 * time.Second,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run looks and tells until ctx ends; then it returns nil.
func (a *Alerts) Run(ctx context.Context) error {
	defer a.client.CloseIdleConnections()
	a.remember()
	a.began = time.Now()
	tick := time.NewTicker(a.cfg.Every)
	defer tick.Stop()
	for {
		if a.hook.Load().URL != "" {
			a.round(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round tells what is new and what is over.
func (a *Alerts) round(ctx context.Context) {
	now := a.look(time.Now())
	changed := false
	for _, c := range now {
		if _, known := a.told[c.Key]; !known && !c.Early && a.tell(ctx, Notice{Condition: c, State: Firing, Appliance: a.cfg.Hostname}) {
			a.told[c.Key] = c
			changed = true
		}
	}
	for key, c := range a.told {
		holds := slices.ContainsFunc(now, func(n Condition) bool { return n.Key == key })
		if holds {
			delete(a.before, key)
		}
		if a.before[key] && time.Since(a.began) < settled {
			continue
		}
		if !holds && a.tell(ctx, Notice{Condition: c, State: Cleared, Appliance: a.cfg.Hostname}) {
			delete(a.told, key)
			changed = true
		}
	}
	if changed {
		a.write()
	}
}

// tell posts a notice and reports whether it arrived.
func (a *Alerts) tell(ctx context.Context, n Notice) bool {
	if err := a.hook.Load().Post(ctx, &a.client, n); err != nil {
		if !a.mute && ctx.Err() == nil {
			a.log.Warn("alert cannot be posted; it is tried again", "condition", n.Key, "err", err)
		}
		a.mute = true
		return false
	}
	a.mute = false
	a.log.Info("alert posted", "condition", n.Key, "state", string(n.State))
	return true
}

// remember reads what was told before the start.
func (a *Alerts) remember() {
	err := disk.ReadState(a.cfg.File, &a.told)
	if a.told == nil {
		a.told = map[string]Condition{}
	}
	a.before = make(map[string]bool, len(a.told))
	for key := range a.told {
		a.before[key] = true
	}
	if err != nil {
		a.log.Warn("what was alerted is not known any more", "err", err)
	}
}

// write keeps what was told. Without it a restart tells again, which is no more than a nuisance.
func (a *Alerts) write() {
	if err := disk.WriteState(a.cfg.File, a.told); err != nil {
		a.log.Warn("what was alerted is not kept", "err", err)
	}
}

// Test posts a notice that says it is a test to cfg.Webhook, which must be set.
func Test(ctx context.Context, cfg Config) error {
	hook, err := ParseWebhook(cfg.Webhook)
	if err != nil {
		return err
	}
	client := newClient()
	defer client.CloseIdleConnections()
	return hook.Post(ctx, &client, Notice{State: Firing, Appliance: cfg.Hostname, Condition: Condition{
		Key: "test", Text: "this is a test alert", Fix: "nothing; it shows that alerts arrive", Since: time.Now()}})
}

// sentence puts what and fix together.
func (n Notice) sentence() string {
	if n.State == Cleared {
		return fmt.Sprintf("%s: over: %s", n.Appliance, n.Text)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s: %s. %s", n.Appliance, n.Text, n.Fix), ". ")
}
