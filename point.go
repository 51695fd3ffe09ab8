package holdfast

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Point is a moment in a branch's history: a time, a WAL position or a checkpoint; at most one of them is set. The zero Point is
// the latest moment there is.
type Point struct {
	At         time.Time
	LSN        LSN
	Checkpoint CheckpointID
}

// Latest says whether the point is the newest moment there is, whatever its time.
func (p Point) Latest() bool { return p.At.IsZero() && p.LSN == 0 && p.Checkpoint == "" }

// Validate refuses a point that names its moment twice.
func (p Point) Validate() error {
	n := 0
	for _, set := range []bool{!p.At.IsZero(), p.LSN != 0, p.Checkpoint != ""} {
		if set {
			n++
		}
	}
	if n > 1 {
		return &Error{Kind: Invalid, Message: "a moment is named twice", Hint: "give one of a time, a WAL position and a checkpoint"}
	}
	return nil
}

func (p Point) String() string {
	switch {
	case !p.At.IsZero():
		return p.At.Format("2006-01-02 15:04:05.999999Z07:00")
	case p.LSN != 0:
		return "WAL position " + p.LSN.String()
	case p.Checkpoint != "":
		return "checkpoint " + string(p.Checkpoint)
	}
	return "latest"
}

// ParsePoint reads a moment as people write it, seen from now: "latest", "10 minutes ago", "1h30m ago", "yesterday 14:03", "14:03:11",
// "2026-11-20 14:03:11+01" and RFC 3339, "lsn:16/B374D848", "checkpoint:ID". A time without a zone is in now's zone, and a time of day
// without a date is the last such time. The moment may not lie after now.
func ParsePoint(text string, now time.Time) (Point, error) {
	s := strings.ToLower(strings.Join(strings.Fields(text), " "))
	if s == "latest" || s == "now" {
		return Point{}, nil
	}
	if position, found := strings.CutPrefix(s, "lsn:"); found {
		lsn, err := ParseLSN(strings.TrimSpace(position))
		if err == nil && lsn == 0 {
			err = badPoint(text)
		}
		return Point{LSN: lsn}, err
	}
	if _, id, found := strings.Cut(strings.TrimSpace(text), ":"); found && strings.HasPrefix(s, "checkpoint:") {
		if id = strings.TrimSpace(id); id == "" {
			return Point{}, badPoint(text)
		}
		return Point{Checkpoint: CheckpointID(id)}, nil
	}
	at, ok := parseAgo(s, now)
	if !ok {
		at, ok = parseMoment(s, now)
	}
	if !ok {
		return Point{}, badPoint(text)
	}
	if at.After(now) {
		return Point{}, &Error{Kind: Invalid, Message: fmt.Sprintf("%s lies in the future", at.Format(time.RFC3339)), Hint: "it is " + now.Format(time.RFC3339) + " now"}
	}
	return Point{At: at}, nil
}

func badPoint(text string) error {
	return &Error{Kind: Invalid, Message: fmt.Sprintf("%q does not name a moment", text),
		Hint: `write "10 minutes ago", "yesterday 14:03", "2026-11-20 14:03:11+01", "lsn:16/B374D848", "checkpoint:ID" or "latest"`}
}

var agoPart = regexp.MustCompile(`^(\d+|an?|one) ?(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d|weeks?|w)(?:$| and | ?,? ?)`)

// parseAgo reads one or more amounts followed by "ago". A day is 24 hours here.
func parseAgo(s string, now time.Time) (time.Time, bool) {
	rest, found := strings.CutSuffix(s, " ago")
	if !found || rest == "" {
		return time.Time{}, false
	}
	const longest = 100 * 365 * 24 * time.Hour
	var total time.Duration
	for rest != "" {
		m := agoPart.FindStringSubmatch(rest)
		if m == nil {
			return time.Time{}, false
		}
		n := int64(1)
		if m[1][0] >= '0' && m[1][0] <= '9' {
			var err error
			if n, err = strconv.ParseInt(m[1], 10, 32); err != nil {
				return time.Time{}, false
			}
		}
		unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[m[2][0]]
		if n > int64(longest/unit) || total > longest {
			return time.Time{}, false
		}
		total += time.Duration(n) * unit
		rest = rest[len(m[0]):]
	}
	return now.Add(-total), true
}

var (
	momentForm = regexp.MustCompile(`^(?:(\d{4}-\d{2}-\d{2}|today|yesterday)(?:[t ]|$))?(?:(\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?) ?(z|utc|gmt|[+-]\d{2}(?::?\d{2})?)?)?$`)
	zoneForm   = regexp.MustCompile(`^([+-])(\d{2}):?(\d{2})?$`)
)

// parseMoment reads a date, a time of day, or both.
func parseMoment(s string, now time.Time) (time.Time, bool) {
	m := momentForm.FindStringSubmatch(s)
	if m == nil || m[1] == "" && m[2] == "" {
		return time.Time{}, false
	}
	zone, ok := parseZone(m[3], now.Location())
	if !ok {
		return time.Time{}, false
	}
	day := now.In(zone)
	switch m[1] {
	case "", "today":
	case "yesterday":
		day = day.AddDate(0, 0, -1)
	default:
		var err error
		if day, err = time.ParseInLocation("2006-01-02", m[1], zone); err != nil {
			return time.Time{}, false
		}
	}
	clock := m[2]
	switch strings.Count(clock, ":") {
	case 0:
		clock = "00:00:00"
	case 1:
		clock += ":00"
	}
	if strings.IndexByte(clock, ':') == 1 {
		clock = "0" + clock
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05.999999999", day.Format("2006-01-02 ")+clock, zone)
	if err != nil {
		return time.Time{}, false
	}
	if m[1] == "" && at.After(now) {
		at = at.AddDate(0, 0, -1)
	}
	return at, true
}

func parseZone(s string, local *time.Location) (*time.Location, bool) {
	switch s {
	case "":
		return local, true
	case "z", "utc", "gmt":
		return time.UTC, true
	}
	m := zoneForm.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	hours, _ := strconv.Atoi(m[2])
	minutes, _ := strconv.Atoi("0" + m[3])
	if hours > 15 || minutes > 59 {
		return nil, false
	}
	offset := hours*3600 + minutes*60
	if m[1] == "-" {
		offset = -offset
	}
	return time.FixedZone("", offset), true
}
