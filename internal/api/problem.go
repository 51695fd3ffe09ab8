package api

import (
	"net/http"

	"github.com/holdfast/holdfast"
)

// ProblemContentType is the media type of a Problem.
const ProblemContentType = "application/problem+json"

// Problem is the body of every answer that is not a success (RFC 9457). Programs decide by Code, which is stable; the texts are
// for people and may change.
type Problem struct {
	Type   string         `json:"type" format:"uri" doc:"Names the sort of problem: urn:holdfast:problem: and the code." example:"urn:holdfast:problem:not_found"`
	Title  string         `json:"title" doc:"What sort of problem it is, in words." example:"Not Found"`
	Status int            `json:"status" doc:"The HTTP status." example:"404"`
	Detail string         `json:"detail" doc:"What cannot be done, and why." example:"project shop does not exist"`
	Code   string         `json:"code" doc:"What to do about it, for programs." enum:"internal,invalid,unauthenticated,not_allowed,not_found,conflict,unsafe,precondition,busy,too_many,unavailable,timeout,canceled,corrupt,exhausted" example:"not_found"`
	Hint   string         `json:"hint,omitempty" doc:"What to do next, for a person."`
	Fields []ProblemField `json:"fields,omitempty" nullable:"false" doc:"Which parts of the request are wrong."`
}

// ProblemField says what is wrong with one part of a request. It never repeats the value, which may be a secret.
type ProblemField struct {
	Location string `json:"location" doc:"Where it stands: body.name, query.limit." example:"body.name"`
	Message  string `json:"message"`
}

// StatusOf is the one place where a kind of error becomes an HTTP status.
func StatusOf(k holdfast.Kind) int {
	switch k {
	case holdfast.Invalid:
		return http.StatusUnprocessableEntity
	case holdfast.Unauthenticated:
		return http.StatusUnauthorized
	case holdfast.NotAllowed:
		return http.StatusForbidden
	case holdfast.NotFound:
		return http.StatusNotFound
	case holdfast.Conflict, holdfast.Unsafe, holdfast.Busy, holdfast.Canceled, holdfast.Exhausted:
		return http.StatusConflict
	case holdfast.Precondition:
		return http.StatusFailedDependency
	case holdfast.TooMany:
		return http.StatusTooManyRequests
	case holdfast.Unavailable:
		return http.StatusServiceUnavailable
	case holdfast.Timeout:
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// ProblemType is the type of problems with this code.
func ProblemType(code string) string { return "urn:holdfast:problem:" + code }

// Err is the problem as the error that it was on the server.
func (p Problem) Err() error {
	e := &holdfast.Error{Kind: holdfast.ParseKind(p.Code), Message: p.Detail, Hint: p.Hint}
	if p.Code == "" {
		e.Kind = kindOfStatus(p.Status)
	}
	if e.Message == "" {
		e.Message = p.Title
	}
	return e
}

// kindOfStatus guesses the kind of an answer that came without a problem body: from a proxy in between, or from something that
// is not Holdfast.
func kindOfStatus(status int) holdfast.Kind {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return holdfast.Invalid
	case http.StatusUnauthorized:
		return holdfast.Unauthenticated
	case http.StatusForbidden:
		return holdfast.NotAllowed
	case http.StatusNotFound, http.StatusGone:
		return holdfast.NotFound
	case http.StatusConflict:
		return holdfast.Conflict
	case http.StatusTooManyRequests:
		return holdfast.TooMany
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return holdfast.Timeout
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return holdfast.Unavailable
	}
	return holdfast.Internal
}
