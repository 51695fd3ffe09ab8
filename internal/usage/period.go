package usage

import "time"

// Span is a stretch of time; To does not belong to it.
type Span struct{ From, To time.Time }

// Period is the billing period that at lies in. It begins at midnight UTC on day startDay of a month, which is 1 to 28.
func Period(at time.Time, startDay int) Span {
	at = at.UTC()
	from := time.Date(at.Year(), at.Month(), startDay, 0, 0, 0, 0, time.UTC)
	if at.Before(from) {
		from = from.AddDate(0, -1, 0)
	}
	return Span{From: from, To: from.AddDate(0, 1, 0)}
}

// Step is how a stretch of time is divided.
type Step string

// The steps. A day begins at midnight UTC, a month with the billing period.
const (
	ByHour  Step = "hour"
	ByDay   Step = "day"
	ByMonth Step = "month"
)

// Of is the step that at lies in.
func (s Step) Of(at time.Time, startDay int) Span {
	at = at.UTC()
	switch s {
	case ByHour:
		from := at.Truncate(time.Hour)
		return Span{From: from, To: from.Add(time.Hour)}
	case ByDay:
		from := at.Truncate(24 * time.Hour)
		return Span{From: from, To: from.Add(24 * time.Hour)}
	}
	return Period(at, startDay)
}

// Steps divides a stretch of time. The first and the last step are whole ones, even where they reach out of it.
func Steps(over Span, by Step, startDay int) []Span {
	var all []Span
	for at := over.From; at.Before(over.To); {
		s := by.Of(at, startDay)
		all = append(all, s)
		at = s.To
	}
	return all
}
