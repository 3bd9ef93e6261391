package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"dinkymail/internal/rig"
)

const (
	pause    = 50 * time.Millisecond // before each reply of the slow upstream
	replies  = 4                     // of an upstream to one message for one recipient: MAIL, RCPT, DATA, the end
	bigSize  = 25_000_000
	inFlight = 8 // big messages at a time
)

// variant is one kind of work, and what was measured of it.
type variant struct {
	name string
	side *side
	load rig.Load
	got  []figures
}

// slow is an upstream that pauses before each reply.
type slow struct {
	side        *side
	connections int
	messages    int
	warmUp      time.Duration // within which the connections in use have become as many as may be
	rates       []float64
}

// variants are appliances that all run at the same time; the first variant is what the others are
// compared with.
type variants struct {
	all    []*variant
	slow   []*slow
	big    *side
	binary int64 // bytes
	stops  []func() error
}

// measureVariants takes the variants in turns, as often as there are rounds.
func measureVariants(dir string, p plan) (v *variants, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	binary, err := rig.Build(dir)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(binary)
	if err != nil {
		return nil, err
	}
	v = &variants{binary: file.Size()}
	defer func() {
		for _, stop := range v.stops {
			err = errors.Join(err, stop())
		}
	}()
	if err := v.open(binary, dir, p); err != nil {
		return nil, err
	}
	for round := range p.rounds {
		if err := v.round(round); err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	return v, v.memory(p)
}

// open starts an appliance for each setting.
func (v *variants) open(binary, dir string, p plan) error {
	start := func(name string, cfg rig.SinkConfig, settings map[string]string) (*side, error) {
		s, stop, err := appliance(binary, filepath.Join(dir, name), cfg, settings)
		if err == nil {
			v.stops = append(v.stops, stop)
		}
		return s, err
	}
	plain, err1 := start("plain", rig.SinkConfig{}, nil)
	single, err2 := start("sequential", rig.SinkConfig{Sequential: true}, nil)
	big, err3 := start("big", rig.SinkConfig{}, nil)
	lock, err4 := newLock(binary, dir)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	secured, err := start("secured", lock.upstream, lock.settings)
	if err != nil {
		return err
	}
	v.big = big
	few, some, many := p.messages/50, p.messages/10, p.messages*3/5
	v.all = []*variant{
		{name: "4 KB", side: plain, load: rig.Load{Size: p.size, Messages: many}},
		{name: "4 KB, STARTTLS and AUTH on both sides", side: secured, load: rig.Load{Size: p.size, Messages: many,
			Open: func() (*rig.Client, error) { return lock.dial(secured.addr) }}},
		{name: "4 KB, upstream without PIPELINING", side: single, load: rig.Load{Size: p.size, Messages: many}},
		{name: "4 KB, 10 recipients", side: plain, load: rig.Load{Size: p.size, Messages: many, Recipients: 10}},
		{name: "100 KB", side: plain, load: rig.Load{Size: 100_000, Messages: some}},
		{name: "1 MB", side: plain, load: rig.Load{Size: 1_000_000, Messages: few}},
	}
	connections, warmUp, each := []int{10, 20, 40}, 2500*time.Millisecond, 30
	if p.short {
		connections, warmUp, each = connections[:1], time.Second, 8
	}
	for _, n := range connections {
		name := strconv.Itoa(n)
		s, err := start(name, rig.SinkConfig{Pause: pause}, map[string]string{"SMTP_RELAY_CONNECTIONS": name})
		if err != nil {
			return err
		}
		v.slow = append(v.slow, &slow{side: s, connections: n, messages: each * n, warmUp: warmUp})
	}
	return nil
}

func (v *variants) round(n int) error {
	for _, one := range v.all {
		if err := one.measure(n); err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
	}
	for _, s := range v.slow {
		if err := s.measure(n); err != nil {
			return fmt.Errorf("slow upstream, %d connections: %w", s.connections, err)
		}
	}
	return nil
}

// measure sends some mail first, so that the connections to the upstream are there, and makes those
// of the clients before the clock starts.
func (v *variant) measure(round int) error {
	load := v.load
	load.Addr, load.Connections, load.Reuse, load.Ready = v.side.addr, 50, true, func() {}
	load.Prefix = strconv.Itoa(round) + "-" + strconv.Itoa(v.load.Size) + "-" + strconv.Itoa(v.load.Recipients)
	warm := load
	warm.Prefix, warm.Messages, warm.Size = load.Prefix+"-warm", 2*load.Connections, 4096
	logf("%s:", v.name)
	if _, err := v.side.send(warm); err != nil {
		return err
	}
	if err := v.side.once(warm); err != nil {
		return err
	}
	f, err := v.side.measure(load)
	v.got = append(v.got, f)
	return err
}

// measure is the rate at which mail arrives once the appliance has found out how much the upstream
// takes at a time, and while there is enough for all connections.
func (s *slow) measure(round int) error {
	load := rig.Load{Addr: s.side.addr, Connections: 50, Messages: s.messages, Size: 4096, Reuse: true,
		Prefix: "slow-" + strconv.Itoa(round)}
	if _, err := s.side.send(load); err != nil {
		return err
	}
	if err := s.side.once(load); err != nil {
		return err
	}
	var times []time.Time
	for _, a := range s.side.sink.Arrivals() {
		times = append(times, a.First)
	}
	slices.SortFunc(times, time.Time.Compare)
	from, to := 0, len(times)-s.connections
	for from < to && times[from].Before(times[0].Add(s.warmUp)) {
		from++
	}
	if from+s.connections > to {
		return fmt.Errorf("all %d messages arrived within the %v of warming up", len(times), s.warmUp)
	}
	rate := float64(to-from) / times[to].Sub(times[from]).Seconds()
	logf("slow upstream, %2d connections: %.1f/s, linear would be %.0f/s", s.connections, rate, s.linear())
	s.rates = append(s.rates, rate)
	return nil
}

// linear is the rate that connections which never wait for anything but the upstream's replies
// would reach.
func (s *slow) linear() float64 { return float64(s.connections) / (replies * pause).Seconds() }

// memory sends big messages; the side notes its peak.
func (v *variants) memory(p plan) error {
	load := rig.Load{Addr: v.big.addr, Connections: inFlight, Messages: 3 * inFlight, Size: bigSize, Reuse: true, Prefix: "big"}
	if p.short {
		load.Messages = inFlight
	}
	var err error
	if v.big.idle, err = rig.RSS(v.big.pid); err != nil { // it has had no mail yet
		return err
	}
	_, err = v.big.measure(load)
	return err
}
