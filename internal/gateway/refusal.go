package gateway

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/holdfast/holdfast"
)

// refusal is an error as PostgreSQL's clients read it. Every SQLSTATE that the gateway itself sends is chosen in this file.
type refusal struct {
	code    string // SQLSTATE
	message string
	hint    string
	cause   error // for our log only
}

func (r *refusal) Error() string {
	if r.cause == nil {
		return r.message
	}
	return r.message + ": " + r.cause.Error()
}

func (r *refusal) Unwrap() error { return r.cause }

// encode is the ErrorResponse: always FATAL, for the gateway speaks only when the session ends.
func (r *refusal) encode() []byte {
	response := pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: r.code, Message: r.message, Hint: r.hint}
	b, err := response.Encode(nil)
	if err != nil { // longer than a message can be
		b, _ = (&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: r.code}).Encode(nil)
	}
	return b
}

// states says which SQLSTATE an error of a kind has at the front door.
var states = map[holdfast.Kind]string{
	holdfast.Internal:        "XX000", // internal_error
	holdfast.Invalid:         "22023", // invalid_parameter_value
	holdfast.Unauthenticated: "28P01", // invalid_password
	holdfast.NotAllowed:      "28000", // invalid_authorization_specification
	holdfast.NotFound:        "3D000", // invalid_catalog_name
	holdfast.Conflict:        "55006", // object_in_use
	holdfast.Unsafe:          "55000", // object_not_in_prerequisite_state
	holdfast.Precondition:    "55000",
	holdfast.Busy:            "57P03", // cannot_connect_now
	holdfast.TooMany:         "53300", // too_many_connections
	holdfast.Unavailable:     "57P03",
	holdfast.Timeout:         "57P03",
	holdfast.Canceled:        "57P03",
	holdfast.Corrupt:         "XX001", // data_corrupted
	holdfast.Exhausted:       "53400", // configuration_limit_exceeded
}

// refusalOf is the answer to an error on the way to a branch, for a client that has proved who it is. The cause of an error
// is never told.
func refusalOf(ref holdfast.BranchRef, err error) *refusal {
	var known *refusal
	if errors.As(err, &known) {
		return known
	}
	kind := holdfast.KindOf(err)
	r := &refusal{code: states[kind], hint: holdfast.HintOf(err), cause: err}
	var told *holdfast.Error
	switch {
	case errors.As(err, &told):
		r.message, r.cause = told.Message, told.Cause
	case kind == holdfast.Timeout:
		r.message, r.hint = fmt.Sprintf("%s did not become ready in time", ref), "try again in a moment"
	default:
		r.message = fmt.Sprintf("%s cannot be reached", ref)
		if r.hint == "" {
			r.hint = "try again; if it stays so, see the server's log"
		}
	}
	return r
}

// wrongPassword is the one answer to an unknown name, an unknown role and a wrong password, in PostgreSQL's words.
func wrongPassword(role string) *refusal {
	return &refusal{code: "28P01", message: fmt.Sprintf(`password authentication failed for user "%s"`, role)}
}

func noUser() *refusal {
	return &refusal{code: "28000", message: "no PostgreSQL user name specified in startup packet"}
}

func plaintextRefused() *refusal {
	return &refusal{code: "28000", message: "the connection is not encrypted", hint: "connect with sslmode=require"}
}

func replicationRefused() *refusal {
	return &refusal{code: "0A000", message: "replication connections are not served here",
		hint: "connect without the replication parameter; for a copy of the data use pg_dump"}
}

func unsupportedProtocol(version uint32) *refusal {
	return &refusal{code: "0A000", message: fmt.Sprintf("unsupported frontend protocol %d.%d: server supports 3.0 to 3.0", version>>16, version&0xFFFF)}
}

func protocolViolation(message string) *refusal { return &refusal{code: "08P01", message: message} }

func notOffered(message string) *refusal { return &refusal{code: "0A000", message: message} }

// bindingRefused is for a client that saw other channel binding than we offer or do: somebody may stand between.
func bindingRefused(message string) *refusal { return &refusal{code: "28000", message: message} }

func ended() *refusal {
	return &refusal{code: "57P01", message: "terminating connection due to administrator command"}
}

func stopping() *refusal {
	r := ended()
	r.hint = "the gateway is stopping; connect again"
	return r
}

func stillHeld(ref holdfast.BranchRef) *refusal {
	return &refusal{code: "57P03", message: fmt.Sprintf("%s is being worked on and did not open again in time", ref), hint: "try again in a minute"}
}

func backendViolation(message string) *refusal {
	return &refusal{code: "08P01", message: "the branch's server answered in an unexpected way", cause: errors.New(message)}
}
