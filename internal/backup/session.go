package backup

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// session is what reading the catalogue needs of a connection: of our own, or of one that a caller reaches through database/sql.
// Arguments and columns are such that every driver knows them, so lists come and go as text.
type session interface {
	// each fills in dest for each row and calls row.
	each(ctx context.Context, dest []any, row func() error, query string, args ...any) error
}

// pgxSession is our own connection.
type pgxSession struct{ conn *pgx.Conn }

func (s pgxSession) each(ctx context.Context, dest []any, row func() error, query string, args ...any) error {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, dest, row)
	return err
}

// sqlSession is a database or a transaction of database/sql.
type sqlSession struct {
	db interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s sqlSession) each(ctx context.Context, dest []any, row func() error, query string, args ...any) (err error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := row(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// oidList is a list of OIDs as the text of an array; nil is NULL.
func oidList(oids []uint32) *string {
	if oids == nil {
		return nil
	}
	text := make([]string, len(oids))
	for i, oid := range oids {
		text[i] = strconv.FormatUint(uint64(oid), 10)
	}
	list := "{" + strings.Join(text, ",") + "}"
	return &list
}
