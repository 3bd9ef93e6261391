package boltstore

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"dinkymail/message"
	"dinkymail/queue"
)

// The record types are how a message is written, in the journal and in the index. They are apart
// from queue.Message so that its fields can move without changing the disk. A key is never used
// again for something else; a new field takes a new key, and its zero value must mean what its
// absence meant.
type record struct {
	ID       string            `cbor:"1,keyasint"`
	From     address           `cbor:"2,keyasint"`
	To       []recipient       `cbor:"3,keyasint,omitempty"`
	UTF8     bool              `cbor:"4,keyasint,omitempty"`
	Ret      string            `cbor:"5,keyasint,omitempty"`
	EnvID    string            `cbor:"6,keyasint,omitempty"`
	Results  []result          `cbor:"7,keyasint,omitempty"`
	Door     string            `cbor:"8,keyasint,omitempty"`
	Client   string            `cbor:"9,keyasint,omitempty"`
	User     string            `cbor:"10,keyasint,omitempty"`
	Subject  string            `cbor:"11,keyasint,omitempty"`
	MsgID    string            `cbor:"12,keyasint,omitempty"`
	EightBit bool              `cbor:"13,keyasint,omitempty"`
	UTF8Head bool              `cbor:"14,keyasint,omitempty"`
	Longest  int               `cbor:"15,keyasint,omitempty"`
	Header   int64             `cbor:"16,keyasint,omitempty"`
	Size     int64             `cbor:"17,keyasint,omitempty"`
	Accepted int64             `cbor:"18,keyasint,omitempty"` // times are nanoseconds since 1970; 0 is none
	Next     int64             `cbor:"19,keyasint,omitempty"`
	Tries    int               `cbor:"20,keyasint,omitempty"`
	History  []attempt         `cbor:"21,keyasint,omitempty"`
	Finished int64             `cbor:"22,keyasint,omitempty"`
	Captured bool              `cbor:"23,keyasint,omitempty"`
	Tags     []string          `cbor:"24,keyasint,omitempty"`
	Metadata map[string]string `cbor:"25,keyasint,omitempty"`
	Before   int64             `cbor:"26,keyasint,omitempty"` // NotBefore
	Held     string            `cbor:"27,keyasint,omitempty"`
	Removed  int64             `cbor:"28,keyasint,omitempty"`
	Legs     *[]leg            `cbor:"29,keyasint,omitempty"` // nil: one leg on the first lane, with Next and Tries
}

// firstLane is the lane of all mail that an earlier version kept, which knew of no other.
const firstLane = "upstream"

type leg struct {
	Lane  string `cbor:"1,keyasint"`
	To    []int  `cbor:"2,keyasint"` // null: all there are
	Next  int64  `cbor:"3,keyasint,omitempty"`
	Tries int    `cbor:"4,keyasint,omitempty"`
}

type address struct {
	_      struct{} `cbor:",toarray"`
	Local  string
	Domain string
}

type recipient struct {
	Local    string `cbor:"1,keyasint,omitempty"`
	Domain   string `cbor:"2,keyasint,omitempty"`
	Notify   uint8  `cbor:"3,keyasint,omitempty"`
	Original string `cbor:"4,keyasint,omitempty"`
}

type result struct {
	Outcome uint8  `cbor:"1,keyasint,omitempty"`
	Code    int    `cbor:"2,keyasint,omitempty"`
	Status  string `cbor:"3,keyasint,omitempty"`
	Text    string `cbor:"4,keyasint,omitempty"`
	Remote  string `cbor:"5,keyasint,omitempty"`
	Stage   string `cbor:"6,keyasint,omitempty"`
	Pause   uint8  `cbor:"7,keyasint,omitempty"`
	NoDSN   bool   `cbor:"8,keyasint,omitempty"`
}

type attempt struct {
	At      int64    `cbor:"1,keyasint,omitempty"`
	Took    int64    `cbor:"2,keyasint,omitempty"`
	Answers []answer `cbor:"3,keyasint,omitempty"`
	Said    string   `cbor:"4,keyasint,omitempty"`
}

type answer struct {
	Result result `cbor:"1,keyasint"`
	To     []int  `cbor:"2,keyasint,omitempty"`
}

// reading takes strings as they are: what a next hop says need not be UTF-8.
var reading = func() cbor.DecMode {
	mode, err := cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24}.DecMode()
	if err != nil {
		panic(err) // a constant that does not compile
	}
	return mode
}()

func encode(m *queue.Message) ([]byte, error) {
	b, err := cbor.Marshal(toRecord(m))
	if err != nil {
		return nil, fmt.Errorf("encode the record of %s: %w", m.ID, err)
	}
	return b, nil
}

// encodeBounded is what the disk keeps of m, which is bounded first.
func encodeBounded(m *queue.Message) ([]byte, error) {
	if len(m.Legs) > queue.MaxLegs {
		return nil, fmt.Errorf("%w: %d legs, and %d are the most", queue.ErrTooLarge, len(m.Legs), queue.MaxLegs)
	}
	m.Bound()
	b, err := encode(m)
	if err == nil && len(b) > queue.MaxRecord {
		m.Strip()
		b, err = encode(m)
	}
	if err == nil && len(b) > queue.MaxRecord {
		err = fmt.Errorf("%w: its record would have %d bytes, and %d are the most", queue.ErrTooLarge, len(b), queue.MaxRecord)
	}
	return b, err
}

func decode(b []byte) (*queue.Message, error) {
	var r record
	if err := reading.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if !queue.ID(r.ID).Valid() {
		return nil, errors.New("a record without an ID")
	}
	if r.Legs != nil && len(*r.Legs) > queue.MaxLegs {
		return nil, errors.New("a record with too many legs")
	}
	return r.message(), nil
}

func toRecord(m *queue.Message) *record {
	r := &record{
		ID: string(m.ID), From: address{Local: m.Envelope.From.Local, Domain: m.Envelope.From.Domain},
		UTF8: m.Envelope.UTF8, Ret: m.Envelope.Ret, EnvID: m.Envelope.ID,
		Door: m.Origin.Door, Client: m.Origin.Client, User: m.Origin.User,
		Subject: m.Facts.Subject, MsgID: m.Facts.MessageID, EightBit: m.Facts.EightBit, UTF8Head: m.Facts.UTF8Header,
		Longest: m.Facts.LongestLine, Header: m.Facts.HeaderSize, Size: m.Size,
		Accepted: nanos(m.Accepted), Finished: nanos(m.Finished),
		Captured: m.Captured, Tags: m.Tags, Metadata: m.Metadata, Before: nanos(m.NotBefore),
		Held: m.Held, Removed: nanos(m.Removed),
		To: make([]recipient, len(m.Envelope.To)), Results: make([]result, len(m.Results)), History: make([]attempt, len(m.History)),
	}
	for i, to := range m.Envelope.To {
		r.To[i] = recipient{Local: to.Local, Domain: to.Domain, Notify: uint8(to.Notify), Original: to.Original}
	}
	for i, res := range m.Results {
		r.Results[i] = toResult(res)
	}
	for i, a := range m.History {
		r.History[i] = attempt{At: nanos(a.At), Took: int64(a.Took), Answers: make([]answer, len(a.Answers)), Said: a.Dialogue}
		for j, an := range a.Answers {
			r.History[i].Answers[j] = answer{Result: toResult(an.Result), To: an.To}
		}
	}
	r.setLegs(m)
	return r
}

// setLegs writes a single leg on the first lane as the versions did that knew of no other.
func (r *record) setLegs(m *queue.Message) {
	if len(m.Legs) == 1 && m.Legs[0].Lane == firstLane && m.Legs[0].To == nil {
		r.Next, r.Tries = nanos(m.Legs[0].Next), m.Legs[0].Tries
		if !r.legless() {
			return
		}
	}
	if len(m.Legs) == 0 && r.legless() {
		return
	}
	legs := make([]leg, len(m.Legs))
	for i, l := range m.Legs {
		legs[i] = leg{Lane: l.Lane, To: l.To, Next: nanos(l.Next), Tries: l.Tries}
	}
	r.Legs = &legs
}

// legless reports whether a record that says nothing of legs has none: captured mail is never
// tried.
func (r *record) legless() bool { return r.Legs == nil && r.Captured && r.Next == 0 && r.Tries == 0 }

func (r *record) legs() []queue.Leg {
	switch {
	case r.Legs != nil && len(*r.Legs) == 0, r.legless():
		return nil
	case r.Legs != nil:
		legs := make([]queue.Leg, len(*r.Legs))
		for i, l := range *r.Legs {
			legs[i] = queue.Leg{Lane: l.Lane, To: l.To, Next: moment(l.Next), Tries: l.Tries}
		}
		return legs
	}
	return []queue.Leg{{Lane: firstLane, Next: moment(r.Next), Tries: r.Tries}}
}

func (r *record) message() *queue.Message {
	m := &queue.Message{
		ID: queue.ID(r.ID),
		Envelope: message.Envelope{From: message.Address{Local: r.From.Local, Domain: r.From.Domain},
			UTF8: r.UTF8, Ret: r.Ret, ID: r.EnvID},
		Origin: queue.Origin{Door: r.Door, Client: r.Client, User: r.User},
		Facts: message.Facts{Subject: r.Subject, MessageID: r.MsgID, EightBit: r.EightBit, UTF8Header: r.UTF8Head,
			LongestLine: r.Longest, HeaderSize: r.Header},
		Size: r.Size, Accepted: moment(r.Accepted), Legs: r.legs(), Finished: moment(r.Finished),
		Captured: r.Captured, Tags: r.Tags, Metadata: r.Metadata, NotBefore: moment(r.Before),
		Held: r.Held, Removed: moment(r.Removed),
	}
	if len(r.To) > 0 {
		m.Envelope.To = make([]message.Recipient, len(r.To))
	}
	for i, to := range r.To {
		m.Envelope.To[i] = message.Recipient{Address: message.Address{Local: to.Local, Domain: to.Domain},
			Notify: message.Notify(to.Notify), Original: to.Original}
	}
	if len(r.Results) > 0 {
		m.Results = make([]queue.Result, len(r.Results))
	}
	for i, res := range r.Results {
		m.Results[i] = res.result()
	}
	if len(r.History) > 0 {
		m.History = make([]queue.Attempt, len(r.History))
	}
	for i, a := range r.History {
		m.History[i] = queue.Attempt{At: moment(a.At), Took: time.Duration(a.Took), Dialogue: a.Said}
		for _, an := range a.Answers {
			m.History[i].Answers = append(m.History[i].Answers, queue.Answer{Result: an.Result.result(), To: an.To})
		}
	}
	return m
}

func toResult(r queue.Result) result {
	return result{Outcome: uint8(r.Outcome), Code: r.Code, Status: r.Status, Text: r.Text, Remote: r.Remote,
		Stage: r.Stage, Pause: uint8(r.Pause), NoDSN: r.NoDSN}
}

func (r result) result() queue.Result {
	return queue.Result{Outcome: queue.Outcome(r.Outcome), Code: r.Code, Status: r.Status, Text: r.Text, Remote: r.Remote,
		Stage: r.Stage, Pause: queue.Pause(r.Pause), NoDSN: r.NoDSN}
}

// clone copies m so that nothing is shared, in the form that reading it from the disk would give:
// times in UTC, and nothing for what is empty.
func clone(m *queue.Message) *queue.Message {
	c := &roomy{Message: *m}
	c.Envelope.To = copied(c.to[:0], m.Envelope.To)
	c.Results = copied(c.results[:0], m.Results)
	c.History = copied(nil, m.History)
	for i, a := range c.History {
		c.History[i].At = moment(nanos(a.At))
		c.History[i].Answers = copied(nil, a.Answers)
		for j, an := range c.History[i].Answers {
			c.History[i].Answers[j].To = copied(nil, an.To)
		}
	}
	c.Legs = copied(c.legs[:0], m.Legs)
	for i, l := range c.Legs {
		c.Legs[i].To, c.Legs[i].Next = slices.Clone(l.To), moment(nanos(l.Next))
	}
	c.Accepted, c.Finished = moment(nanos(m.Accepted)), moment(nanos(m.Finished))
	c.NotBefore, c.Removed = moment(nanos(m.NotBefore)), moment(nanos(m.Removed))
	c.Tags = copied(nil, m.Tags)
	c.Metadata = nil
	if len(m.Metadata) > 0 {
		c.Metadata = maps.Clone(m.Metadata)
	}
	return &c.Message
}

// roomy is a message with room for its only recipient, which most have, so that a copy costs few
// allocations.
type roomy struct {
	queue.Message
	to      [1]message.Recipient
	results [1]queue.Result
	legs    [1]queue.Leg
}

// copied is s in room if that is enough, and nil if it is empty.
func copied[T any](room, s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return append(room, s...)
}

// nanos is t as a number that sorts as time does; 0 is the zero time.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return cmp.Or(t.UnixNano(), 1)
}

func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// kept is the state a message is kept in; each but none has its bucket.
type kept uint8

const (
	none kept = iota
	waiting
	finished
	captured
	removed
)

// where says how a body is kept.
type where uint8

const (
	nowhere where = iota
	inSegment
	inLarge
)

// location says where a body is, how long, and what its checksum is.
type location struct {
	where where
	seg   uint32
	off   int64
	n     int64
	crc   uint32
}

// place is all that the store itself needs of a message: what the index is keyed by, and where the
// body is.
type place struct {
	kept     kept
	key      int64   // waiting: Next of the first leg unless held; finished: Finished; captured: Accepted; removed: Removed; 0: not in that index
	more     []int64 // waiting: Next of the legs behind the first, up to the last that has one
	accepted int64
	sender   uint32 // of waiting mail; 0: not known here
	record   int64  // bytes of the record
	body     location
}

func placeOf(m *queue.Message, body location) place {
	p := place{accepted: nanos(m.Accepted), body: body}
	if !m.Captured && !m.Finished.IsZero() {
		p.body = location{}
	}
	switch {
	case !m.Removed.IsZero():
		p.kept, p.key = removed, nanos(m.Removed)
	case m.Captured:
		p.kept, p.key = captured, p.accepted
	case !m.Finished.IsZero():
		p.kept, p.key = finished, nanos(m.Finished)
	case m.Held != "":
		p.kept, p.sender = waiting, m.Sender()
	default:
		p.kept, p.sender = waiting, m.Sender()
		for i := range m.Legs {
			p.set(i, nanos(m.Legs[i].Next))
		}
	}
	return p
}

// at is when a leg is due, or for what is not waiting its time as leg 0; 0: never.
func (p *place) at(leg int) int64 {
	switch {
	case leg == 0:
		return p.key
	case leg <= len(p.more):
		return p.more[leg-1]
	}
	return 0
}

func (p *place) set(leg int, due int64) {
	if leg == 0 {
		p.key = due
	} else if due != 0 {
		p.more = append(p.more, make([]int64, max(leg-len(p.more), 0))...)
		p.more[leg-1] = due
	}
}

// legs is how many legs may be due, due when one is.
func (p *place) legs() int {
	if p.kept != waiting {
		return 0
	}
	return 1 + len(p.more)
}

func (p *place) due(leg int) int64 {
	if p.kept != waiting {
		return 0
	}
	return p.at(leg)
}

// idle reports whether nothing of a message is in an order of time.
func (p *place) idle() bool { return p.key == 0 && len(p.more) == 0 }

// Values in the index are a place in fixed bytes, so that most questions are answered without
// decoding, a CRC-32C of all the rest, and the record. Those of messages with several legs have the
// number of the legs behind the first and their times, too, before the checksum. Those that the
// first version wrote have no checksum.
const (
	placeSize = 42

	unsummed = 1
	oneLeg   = 2
	moreLegs = 3
)

// value is how a message stands in the index.
func (p place) value(record []byte) []byte {
	b := p.append(make([]byte, 0, placeSize+2+8*len(p.more)+4+len(record)))
	b[0] = oneLeg
	if len(p.more) > 0 {
		b[0] = moreLegs
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.more)))
		for _, at := range p.more {
			b = binary.BigEndian.AppendUint64(b, uint64(at))
		}
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Update(checksum(b), castagnoli, record))
	return append(b, record...)
}

func (p place) append(b []byte) []byte {
	b = append(b, unsummed, byte(p.body.where))
	b = binary.BigEndian.AppendUint32(b, p.body.seg)
	b = binary.BigEndian.AppendUint64(b, uint64(p.body.off))
	b = binary.BigEndian.AppendUint64(b, uint64(p.body.n))
	b = binary.BigEndian.AppendUint32(b, p.body.crc)
	b = binary.BigEndian.AppendUint64(b, uint64(p.key))
	return binary.BigEndian.AppendUint64(b, uint64(p.accepted))
}

var errRecord = errors.New("not a record of this store")

func parsePlace(k kept, v []byte) (place, []byte, error) {
	p := place{kept: k}
	if len(v) < placeSize || v[0] < unsummed || v[0] > moreLegs || where(v[1]) > inLarge {
		return p, nil, errRecord
	}
	var more []int64
	head := placeSize
	if v[0] == moreLegs {
		if head += 2; len(v) < head {
			return p, nil, errRecord
		}
		n := int(binary.BigEndian.Uint16(v[placeSize:]))
		if head += 8 * n; len(v) < head {
			return p, nil, errRecord
		}
		more = make([]int64, n)
		for i := range more {
			more[i] = int64(binary.BigEndian.Uint64(v[placeSize+2+8*i:]))
		}
		if n == 0 || more[n-1] == 0 {
			return p, nil, errRecord
		}
	}
	record := v[head:]
	if v[0] != unsummed {
		if len(record) < 4 || crc32.Update(checksum(v[:head]), castagnoli, record[4:]) != binary.BigEndian.Uint32(record) {
			return p, nil, errRecord
		}
		record = record[4:]
	}
	p.body = location{where: where(v[1]), seg: binary.BigEndian.Uint32(v[2:]), off: int64(binary.BigEndian.Uint64(v[6:])),
		n: int64(binary.BigEndian.Uint64(v[14:])), crc: binary.BigEndian.Uint32(v[22:])}
	p.key, p.accepted = int64(binary.BigEndian.Uint64(v[26:])), int64(binary.BigEndian.Uint64(v[34:]))
	p.more, p.record = more, int64(len(record))
	return p, record, nil
}
