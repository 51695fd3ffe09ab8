// Package schedule says when: it reads rules (cron, or hourly, daily, weekly and monthly), finds the next time in a time zone, says
// which run is due after some were missed, and spreads runs by a jitter. It says when and never does: it has no clock, no timer and no goroutine.
package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a machine without a zone database must read the same rules

	"github.com/robfig/cron/v3"

	"github.com/holdfast/holdfast"
)

// Rule is a rule that was read. Its zero value is not usable.
type Rule struct {
	text string
	zone *time.Location
	spec *cron.SpecSchedule
	// elapsed: the rule goes by real time, every so many minutes of each hour. Others go by the clock on the wall.
	elapsed bool
}

// everyBit is what robfig/cron sets in a field that was written as *.
const everyBit = 1 << 63

var weekdays = map[string]string{"sunday": "0", "monday": "1", "tuesday": "2", "wednesday": "3", "thursday": "4", "friday": "5", "saturday": "6"}

// Parse reads a rule in a time zone of the IANA database (empty: UTC). A rule is five fields of cron, or one of
//
//	hourly [at :MM]                  minute 0 where none is given
//	daily [at HH:MM]                 midnight where no time is given
//	weekly [on DAY] [at HH:MM]       Sunday where no day is given
//	monthly [on 1..28] [at HH:MM]    the first where no day is given
//
// Where the clock on the wall jumps over a rule's time, it is due when the jump is over; where the clock repeats it, once. A rule that
// is due in every hour goes by real time and is not touched by that.
func Parse(rule, zone string) (Rule, error) {
	if zone == "" {
		zone = "UTC"
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Rule{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("there is no time zone %q", zone), Hint: "write it as in the IANA database, for example Europe/Berlin", Cause: err}
	}
	fields, err := translate(strings.Fields(strings.ToLower(rule)))
	if err != nil {
		return Rule{}, invalidRule(rule, err)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(fields)
	if err != nil {
		return Rule{}, invalidRule(rule, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Rule{}, invalidRule(rule, nil)
	}
	spec.Location = time.UTC // see Next: the fields are matched against the wall clock, written as if it were UTC
	r := Rule{text: rule, zone: location, spec: spec, elapsed: spec.Hour&everyBit != 0}
	if r.Next(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Rule{}, invalidRule(rule, fmt.Errorf("no such day comes within five years"))
	}
	return r, nil
}

func invalidRule(rule string, cause error) error {
	return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q is not a rule", rule), Cause: cause,
		Hint: `write for example "daily at 03:30", "weekly on sunday at 03:30", "monthly on 1 at 03:30", or five fields of cron: "30 3 * * *"`}
}

// String is the rule as it was written.
func (r Rule) String() string { return r.text }

// translate turns a rule in words into fields of cron, and gives fields of cron back.
func translate(words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("it is empty")
	}
	period := words[0]
	if period != "hourly" && period != "daily" && period != "weekly" && period != "monthly" {
		if strings.Contains(words[0], "=") {
			return "", fmt.Errorf("the time zone is given apart from the rule")
		}
		return strings.Join(words, " "), nil
	}
	on, at, err := clauses(words[1:])
	if err != nil {
		return "", err
	}
	if on != "" && period != "weekly" && period != "monthly" {
		return "", fmt.Errorf("%s has no day", period)
	}
	if period == "hourly" {
		minute, found := strings.CutPrefix(at, ":")
		if at != "" && !found {
			return "", fmt.Errorf("write the minute of every hour as :MM")
		}
		m, err := bounded(minute, 0, 59, 0)
		return fmt.Sprintf("%d * * * *", m), err
	}
	hour, minute, _ := strings.Cut(at, ":")
	h, errHour := bounded(hour, 0, 23, 0)
	m, errMinute := bounded(minute, 0, 59, 0)
	if errHour != nil || errMinute != nil || at != "" && (hour == "" || len(minute) != 2) {
		return "", fmt.Errorf("%q is not a time of day", at)
	}
	switch period {
	case "weekly":
		if on == "" {
			on = "sunday"
		}
		day, known := weekdays[on]
		if !known {
			return "", fmt.Errorf("%q is not a day of the week", on)
		}
		return fmt.Sprintf("%d %d * * %s", m, h, day), nil
	case "monthly":
		day, err := bounded(on, 1, 28, 1) // every month has these
		return fmt.Sprintf("%d %d %d * *", m, h, day), err
	}
	return fmt.Sprintf("%d %d * * *", m, h), nil
}

// clauses reads [on X] [at Y].
func clauses(words []string) (on, at string, err error) {
	for len(words) >= 2 {
		switch {
		case words[0] == "on" && on == "" && at == "":
			on = words[1]
		case words[0] == "at" && at == "":
			at = words[1]
		default:
			return "", "", fmt.Errorf("%q is not understood", words[0])
		}
		words = words[2:]
	}
	if len(words) > 0 {
		return "", "", fmt.Errorf("%q is not understood", words[0])
	}
	return on, at, nil
}

func bounded(digits string, low, high, missing int) (int, error) {
	if digits == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || int(n) < low || int(n) > high {
		return 0, fmt.Errorf("%q is not a number from %d to %d", digits, low, high)
	}
	return int(n), nil
}
