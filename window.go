package holdfast

import (
	"fmt"
	"time"
)

// Bounds and default of how far back a branch can be restored.
const (
	DefaultWindow = 7 * 24 * time.Hour
	MinWindow     = 6 * time.Hour
	MaxWindow     = 35 * 24 * time.Hour
)

// CheckWindow says whether a branch's history can be kept for d.
func CheckWindow(d time.Duration) error {
	if d < MinWindow || d > MaxWindow {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("a window of %s is out of bounds", d), Hint: "choose 6 hours to 35 days"}
	}
	return nil
}

// Window is the time to which a branch can be restored: every moment from Earliest to Latest that lies in no gap. Both are zero
// when there is no base backup yet.
type Window struct {
	Earliest time.Time
	Latest   time.Time
	Gaps     []Gap // in order of time, none touching another
}

// Gap is a time to which a branch cannot be restored because WAL is missing. From itself can still be restored, and so can To.
type Gap struct {
	From, To time.Time
	Reason   string
}

// Check says whether at can be restored, and if not, which moments near it can.
func (w Window) Check(at time.Time) error {
	const layout = time.RFC3339Nano
	switch {
	case w.Latest.IsZero():
		return &Error{Kind: Precondition, Message: "there is no base backup to restore from yet", Hint: "one is made when the branch is awake; try again when it is done"}
	case at.Before(w.Earliest):
		return &Error{Kind: NotFound, Message: fmt.Sprintf("the history begins at %s, after the moment asked for", w.Earliest.Format(layout))}
	case at.After(w.Latest):
		return &Error{Kind: Invalid, Message: fmt.Sprintf("the history ends at %s, before the moment asked for", w.Latest.Format(layout))}
	}
	for _, g := range w.Gaps {
		if at.After(g.From) && at.Before(g.To) {
			return &Error{Kind: NotFound, Message: fmt.Sprintf("the moment lies in a gap of the history, from %s to %s: %s", g.From.Format(layout), g.To.Format(layout), g.Reason),
				Hint: "choose the beginning or the end of the gap"}
		}
	}
	return nil
}
