package backup

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/zeebo/xxh3"

	"github.com/holdfast/holdfast"
)

// rowSum is a checksum of rows in any order: the sum of the 128-bit hashes of all rows.
type rowSum struct {
	rows   int64
	hi, lo uint64
}

func (s *rowSum) add(row []byte) {
	h := xxh3.Hash128(row)
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h.Lo, 0)
	s.hi, _ = bits.Add64(s.hi, h.Hi, carry)
	s.rows++
}

func (s *rowSum) String() string {
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(s.hi>>(56-8*i)), byte(s.lo>>(56-8*i))
	}
	return "xxh3-sum:" + hex.EncodeToString(b[:])
}

// RowChecksum reads all rows of a table itself (not of its partitions and heirs) and returns their number and a checksum that does not
// depend on their order nor on the order of the columns. Generated columns count as well. Two tables with the same checksum hold the
// same rows, on servers of the same version; another version may write some values in other words.
func RowChecksum(ctx context.Context, conn *pgx.Conn, table Table) (rows int64, checksum string, err error) {
	if err := prepare(ctx, conn); err != nil {
		return 0, "", fmt.Errorf("prepare to read %s: %w", table, err)
	}
	columns := slices.Clone(table.Generated)
	for _, c := range table.Columns {
		columns = append(columns, c.Name)
	}
	slices.Sort(columns)
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = holdfast.QuoteIdentifier(c)
	}
	var sum rowSum
	out := &lines{each: func(line []byte) error { sum.add(line); return nil }}
	query := "COPY (SELECT " + strings.Join(quoted, ", ") + " FROM ONLY " + table.String() + " " + table.Filter + ") TO STDOUT"
	if _, err := conn.PgConn().CopyTo(ctx, out, query); err != nil {
		return 0, "", fmt.Errorf("read %s: %w", table, err)
	}
	return sum.rows, sum.String(), nil
}

// RowChecksums is RowChecksum of every table that holds rows.
func RowChecksums(ctx context.Context, conn *pgx.Conn) ([]holdfast.TableRecords, error) {
	tables, err := readTables(ctx, conn)
	if err != nil {
		return nil, err
	}
	var all []holdfast.TableRecords
	for _, t := range holders(tables) {
		rows, sum, err := RowChecksum(ctx, conn, t)
		if err != nil {
			return nil, err
		}
		all = append(all, holdfast.TableRecords{Schema: t.Schema, Name: t.Name, Records: rows, Checksum: sum})
	}
	return all, nil
}
