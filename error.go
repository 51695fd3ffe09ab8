package holdfast

import (
	"context"
	"errors"
)

// Kind tells a caller what to do about an error. HTTP status, SQLSTATE and exit code are each chosen from it in one file.
type Kind int

// The kinds of error. Internal is the zero value: an error of which nobody said otherwise is ours to mend.
const (
	Internal        Kind = iota // a defect or an unexpected failure of the machine
	Invalid                     // the request itself is wrong: mend it before trying again
	Unauthenticated             // the caller did not prove who it is
	NotAllowed                  // the caller is known and may not do this
	NotFound                    // the thing does not exist, or the caller may not know that it does
	Conflict                    // the thing exists already or changed meanwhile
	Unsafe                      // it would lose or endanger data and was not confirmed
	Precondition                // something else must be done or installed first
	Busy                        // another operation holds it; the same request succeeds later
	TooMany                     // a limit on connections, size or rate is reached
	Unavailable                 // a server or location is out of reach for now
	Timeout                     // it took longer than it was allowed to
	Canceled                    // somebody asked it to stop
	Corrupt                     // bytes are not what was written
	Exhausted                   // a budget is used up; it is there again with the next period, or when it is raised
)

var kindNames = [...]string{
	"internal", "invalid", "unauthenticated", "not_allowed", "not_found", "conflict", "unsafe", "precondition", "busy",
	"too_many", "unavailable", "timeout", "canceled", "corrupt", "exhausted",
}

// String is the stable, machine-readable name of the kind: the `code` of an API problem.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// ParseKind is the inverse of String. An unknown name is Internal.
func ParseKind(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return Internal
}

// Error is an error that was meant for somebody: the message and the hint are for a person, the cause is for us.
type Error struct {
	Kind    Kind
	Message string // one sentence without a trailing period: what cannot be done, and why
	Hint    string // what to do next; empty when the message says it
	Cause   error  // may be nil; never shown to a stranger
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the outermost Error in err's chain; a context's end is Canceled or Timeout, anything else Internal.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}
