package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"dinkymail/internal/rig"
)

// drainLimit is how long a side may take to hand on everything it accepted in one measurement.
const drainLimit = 5 * time.Minute

// settleTime passes between the last arrival and the reading of the CPU, so that outcomes are
// written too.
const settleTime = 500 * time.Millisecond

// The names of the sides.
const (
	dinkymailName = "Dinkymail"
	postfixName   = "Postfix"
	smtprelayName = "smtprelay"
)

// side is one of the servers that are compared, running, with a black hole of its own behind it.
type side struct {
	name   string
	addr   string
	pid    int
	start  time.Duration
	idle   int64 // bytes, before any mail
	peak   int64 // bytes, when all is done
	sink   *rig.Sink
	reused []figures
	single []figures
	alone  []figures // one client, one message after the other
}

// figures are one measurement.
type figures struct {
	accepted float64       // per second
	arrived  float64       // per second, at the black hole
	p50      time.Duration // from MAIL to the 250
	through  time.Duration // median from MAIL to the black hole
	cpu      time.Duration // per message
}

// openSides starts what is to be compared, Dinkymail first.
func openSides(dir string, alone bool) ([]*side, func() error, error) {
	binary, err := rig.Build(dir)
	if err != nil {
		return nil, nil, err
	}
	dinkymail, closeDinkymail, err := dinkymailSide(binary, filepath.Join(dir, "dinkymail.d"))
	if err != nil {
		return nil, nil, err
	}
	sides, stops := []*side{dinkymail}, []func() error{closeDinkymail}
	stop := func() (err error) {
		for _, one := range stops {
			err = errors.Join(err, one())
		}
		return err
	}
	if !alone {
		postfix, closePostfix, err := postfixSide()
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		sides, stops = append(sides, postfix), append(stops, closePostfix)
	}
	proxy, closeProxy, err := smtprelaySide(filepath.Join(dir, "smtprelay.d"))
	if err != nil {
		logf("without %s, which cannot be had here: %v", smtprelayName, err)
		return sides, stop, nil
	}
	return append(sides, proxy), func() error { return errors.Join(stop(), closeProxy()) }, nil
}

// dinkymailSide starts the appliance with its defaults and an upstream that wants neither TLS nor a
// password.
func dinkymailSide(binary, dir string) (*side, func() error, error) {
	s, stop, err := appliance(binary, dir, rig.SinkConfig{}, nil)
	if err != nil {
		return nil, nil, err
	}
	if err := s.rest(); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return s, stop, nil
}

// appliance starts one with the given settings besides those that lead to an upstream as cfg
// describes it.
func appliance(binary, dir string, cfg rig.SinkConfig, settings map[string]string) (*side, func() error, error) {
	sink, err := rig.NewSink("127.0.0.1:0", cfg)
	if err != nil {
		return nil, nil, err
	}
	all := rig.Relayed(sink.Addr())
	maps.Copy(all, settings)
	a, err := rig.NewAppliance(binary, dir, all)
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	s := &side{name: dinkymailName, addr: a.Plain, sink: sink}
	if s.start, err = a.Start(); err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	s.pid = a.PID()
	return s, func() error { return errors.Join(a.Stop(), sink.Close()) }, nil
}

// postfixSide starts a Postfix tuned for throughput: 20 connections to the upstream that are kept,
// no delay on accepting, up to 200 processes per service, no limits on clients, no mailboxes and no
// lookups.
func postfixSide() (*side, func() error, error) {
	sink, err := rig.NewSink("127.0.0.1:0", rig.SinkConfig{})
	if err != nil {
		return nil, nil, err
	}
	addr, err := rig.FreeAddr()
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	hop := "[127.0.0.1]:" + rig.Port(sink.Addr())
	p, err := rig.NewPostfix("bench", map[string]string{
		"relayhost":                             hop,
		"default_process_limit":                 "200",
		"in_flow_delay":                         "0",
		"initial_destination_concurrency":       "20",
		"default_destination_concurrency_limit": "20",
		"smtp_connection_cache_destinations":    hop,
		"smtp_connection_cache_on_demand":       "yes",
		"smtpd_client_connection_count_limit":   "0",
		"smtpd_client_connection_rate_limit":    "0",
	}, addr+" inet n - n - - smtpd")
	if err != nil {
		return nil, nil, errors.Join(err, sink.Close())
	}
	s := &side{name: postfixName, addr: addr, sink: sink}
	if s.start, err = p.Start(addr); err != nil {
		return nil, nil, errors.Join(err, p.Close(), sink.Close())
	}
	s.pid = p.PID()
	if err := s.rest(); err != nil {
		return nil, nil, errors.Join(err, p.Close(), sink.Close())
	}
	return s, func() error { return errors.Join(p.Close(), sink.Close()) }, nil
}

// rest lets a started side come to rest and notes its idle memory.
func (s *side) rest() (err error) {
	<-time.After(time.Second)
	s.idle, err = rig.RSS(s.pid)
	return err
}

// round takes one figure of each kind.
func (s *side) round(p plan, n int) error {
	for _, m := range []struct {
		to   *[]figures
		load rig.Load
	}{
		{&s.reused, rig.Load{Connections: p.connections, Messages: p.messages, Reuse: true}},
		{&s.single, rig.Load{Connections: p.connections, Messages: p.messages}},
		{&s.alone, rig.Load{Connections: 1, Messages: p.sequence, Reuse: true}},
	} {
		m.load.Addr, m.load.Size = s.addr, p.size
		m.load.Prefix = strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(n) + "-" + strconv.Itoa(len(s.reused)+len(s.single)+len(s.alone))
		f, err := s.measure(m.load)
		if err != nil {
			return err
		}
		*m.to = append(*m.to, f)
	}
	return nil
}

// send runs a load and waits until all of it has arrived, once each.
func (s *side) send(load rig.Load) (*rig.Loaded, error) {
	s.sink.Reset()
	done := load.Run()
	if done.Err != nil {
		return nil, done.Err
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if err := s.sink.WaitDistinct(ctx, load.Messages); err != nil {
		return nil, fmt.Errorf("mail was lost, or is slow: %w", err)
	}
	return done, nil
}

// once fails if more arrived than a load sent, messages or recipients.
func (s *side) once(load rig.Load) error {
	if total := s.sink.Total(); total != load.Messages {
		return fmt.Errorf("%d messages arrived of %d that were sent", total, load.Messages)
	}
	if rcpts := s.sink.Recipients(); rcpts != load.Messages*max(load.Recipients, 1) {
		return fmt.Errorf("the %d messages arrived for %d recipients in all", load.Messages, rcpts)
	}
	return nil
}

// measure sends a load and takes its figures. With load.Ready, CPU counts from when it is called.
func (s *side) measure(load rig.Load) (figures, error) {
	before, err := rig.CPU(s.pid)
	if err != nil {
		return figures{}, err
	}
	if load.Ready != nil {
		load.Ready = func() { before, err = rig.CPU(s.pid) }
	}
	done, failed := s.send(load)
	if err := errors.Join(err, failed); err != nil {
		return figures{}, err
	}
	<-time.After(settleTime)
	after, err := rig.CPU(s.pid)
	if err != nil {
		return figures{}, err
	}
	if s.peak, err = rig.PeakRSS(s.pid); err != nil {
		return figures{}, err
	}
	if err := s.once(load); err != nil {
		return figures{}, err
	}
	f := figures{accepted: done.Rate(), p50: done.Median(), cpu: (after - before) / time.Duration(load.Messages)}
	f.arrived, f.through = arrival(done, s.sink.Arrivals())
	logf("%-10s %5d messages, %2d connections, reused %-5v  %6.0f/s accepted, %6.0f/s arrived, p50 %v, through %v, CPU %v",
		s.name, load.Messages, load.Connections, load.Reuse, f.accepted, f.arrived, f.p50.Round(10*time.Microsecond),
		f.through.Round(10*time.Microsecond), f.cpu.Round(time.Microsecond))
	return f, nil
}

// arrival is the rate at the black hole, from the first command to the last arrival, and the median
// way through.
func arrival(done *rig.Loaded, arrivals map[string]rig.Arrival) (rate float64, through time.Duration) {
	var last time.Time
	ways := make([]time.Duration, 0, len(arrivals))
	for id, a := range arrivals {
		if a.First.After(last) {
			last = a.First
		}
		ways = append(ways, a.First.Sub(done.Sent[id]))
	}
	slices.Sort(ways)
	return float64(len(arrivals)) / last.Sub(done.Start).Seconds(), ways[len(ways)/2]
}
