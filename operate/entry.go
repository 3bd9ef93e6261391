package operate

import (
	"slices"
	"time"

	"dinkymail/queue"
)

// States tells how messages stand.
type States interface {
	State(m *queue.Message) (queue.State, string)
	Lane(m *queue.Message) string
	Expires(m *queue.Message) time.Time
}

// EntryOf is a message as a list shows it.
func EntryOf(s States, m *queue.Message) Entry {
	e := Entry{
		ID: m.ID, From: m.Envelope.From.String(), Recipients: recipientsOf(m),
		Subject: m.Facts.Subject, MessageID: m.Facts.MessageID, Size: m.Size, Accepted: m.Accepted,
		Next: given(m.NextAttempt()), Finished: given(m.Finished), Removed: given(m.Removed),
		Attempts: m.Tries(), Held: m.Held,
	}
	if !m.Captured {
		e.Lane = s.Lane(m)
	}
	e.State, e.Reason = s.State(m)
	return e
}

// recipientsOf are all recipients of a message, each with the last that was answered for it.
func recipientsOf(m *queue.Message) []Recipient {
	all := make([]Recipient, 0, len(m.Envelope.To))
	for i, to := range m.Envelope.To {
		one := Recipient{Address: to.Address.String(), Outcome: queue.Deferred.String(), Notify: to.Notify.Words(),
			Origin: to.Original}
		if i < len(m.Results) {
			res := m.Results[i]
			one.Outcome, one.Code, one.Status, one.Text, one.Remote = res.Outcome.String(), res.Code, res.Status, res.Text, res.Remote
		}
		all = append(all, one)
	}
	return all
}

// DetailOf is all that is known of a message but whether its body is there.
func DetailOf(s States, m *queue.Message) Detail {
	d := Detail{
		Entry: EntryOf(s, m), Origin: OriginDetail(m.Origin), NotBefore: given(m.NotBefore), EnvID: m.Envelope.ID,
		Ret: m.Envelope.Ret, UTF8: m.Envelope.UTF8, History: make([]AttemptDetail, 0, len(m.History)), Tags: m.Tags,
		Metadata: m.Metadata,
	}
	if m.Finished.IsZero() && !m.Captured && m.Held == "" && m.Removed.IsZero() {
		d.Expires = given(s.Expires(m))
	}
	room := historyRecipients
	for _, a := range slices.Backward(m.History) {
		d.History = append(d.History, attemptOf(m, &a, &room))
	}
	slices.Reverse(d.History)
	d.Omitted = max(m.Tries()-len(m.History), 0)
	return d
}

// historyRecipients is how many recipients the attempts of one message list together, the newest
// attempt first.
const historyRecipients = 100_000

func attemptOf(m *queue.Message, a *queue.Attempt, room *int) AttemptDetail {
	d := AttemptDetail{At: a.At, Took: a.Took, Dialogue: a.Dialogue, Answers: make([]AnswerDetail, 0, len(a.Answers))}
	for _, one := range a.Answers {
		listed := min(len(one.To), *room)
		*room -= listed
		detail := AnswerDetail{Recipients: make([]string, 0, listed), More: len(one.To) - listed, Outcome: one.Outcome.String(), Stage: one.Stage,
			Code: one.Code, Status: one.Status, Text: one.Text, Remote: one.Remote}
		for _, i := range one.To[:listed] {
			if i >= 0 && i < len(m.Envelope.To) {
				detail.Recipients = append(detail.Recipients, m.Envelope.To[i].Address.String())
			}
		}
		d.Answers = append(d.Answers, detail)
	}
	return d
}

// given is a time that may not be there.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
