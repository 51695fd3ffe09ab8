package backup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/holdfast/holdfast"
)

// maxAsserted is how many rows of an assertion that must give none are counted.
const maxAsserted = 1000

// Assert asks whether an assertion holds in a database; nil means that it does. It is one statement in a transaction of its own, which is rolled back:
// what the query changes does not stay. Values are in no error.
func Assert(ctx context.Context, db Database, a holdfast.Assertion, limit time.Duration) (err error) {
	late := &holdfast.Error{Kind: holdfast.Timeout, Message: fmt.Sprintf("it took longer than %s", limit)}
	ctx, cancel := context.WithTimeoutCause(ctx, limit+10*time.Second, late) // the statement's own limit comes first
	defer cancel()
	conn, err := db.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	// The transaction ends with the connection, whatever the query did to it.
	if _, err := conn.Exec(ctx, "BEGIN; SET LOCAL statement_timeout = "+strconv.FormatInt(limit.Milliseconds(), 10)); err != nil {
		return err
	}
	rows, err := conn.Query(ctx, a.SQL)
	if err == nil {
		err = holds(rows, a.NoRows)
	}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "57014", errors.Is(err, context.DeadlineExceeded):
		return late
	case errors.As(err, &refused):
		return &holdfast.Error{Kind: holdfast.Precondition, Message: "PostgreSQL refuses it: " + refused.Message, Hint: refused.Hint}
	}
	return err
}

// holds judges what the query gave.
func holds(rows pgx.Rows, none bool) error {
	defer rows.Close()
	fails := func(format string, args ...any) error {
		return &holdfast.Error{Kind: holdfast.Conflict, Message: fmt.Sprintf(format, args...)}
	}
	n := 0
	var value pgtype.Bool
	for rows.Next() {
		n++
		if none && n > maxAsserted {
			return fails("it gave more than %d rows and must give none", maxAsserted)
		}
		if none {
			continue
		}
		if fields := rows.FieldDescriptions(); n > 1 || len(fields) != 1 || fields[0].DataTypeOID != pgtype.BoolOID {
			return fails("it must give one row with one boolean")
		}
		if err := rows.Scan(&value); err != nil {
			return err
		}
	}
	switch err := rows.Err(); {
	case err != nil:
		return err
	case none && n > 0:
		return fails("it gave %d rows and must give none", n)
	case !none && n == 0:
		return fails("it gave no row and must give true")
	case !none && !value.Valid:
		return fails("it gave NULL and must give true")
	case !none && !value.Bool:
		return fails("it gave false and must give true")
	}
	return nil
}
