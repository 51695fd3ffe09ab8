package store

import (
	"time"

	"github.com/holdfast/holdfast"
)

// AddMeasurement keeps what a branch said of itself.
func (tx *Tx) AddMeasurement(id holdfast.BranchID, m holdfast.Measurement) error {
	return tx.exec(`INSERT OR REPLACE INTO measurements (branch_id, at, connections, active, in_transaction, waiting, size, commits, rollbacks, blocks_hit, blocks_read, deadlocks, temp_bytes)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, toMicros(m.At), m.Connections, m.Active, m.InTransaction, m.Waiting, m.Size, m.Commits, m.Rollbacks, m.BlocksHit, m.BlocksRead, m.Deadlocks, m.TempBytes)
}

// Measurements lists a branch's measurements of a time, the oldest first, and before them the last one from before that time.
func (tx *Tx) Measurements(id holdfast.BranchID, from, to time.Time) ([]holdfast.Measurement, error) {
	return collect(tx, func(row scanner) (m holdfast.Measurement, err error) {
		var at int64
		err = row.Scan(&at, &m.Connections, &m.Active, &m.InTransaction, &m.Waiting, &m.Size, &m.Commits, &m.Rollbacks, &m.BlocksHit, &m.BlocksRead, &m.Deadlocks, &m.TempBytes)
		m.At = fromMicros(at)
		return m, err
	}, `SELECT at, connections, active, in_transaction, waiting, size, commits, rollbacks, blocks_hit, blocks_read, deadlocks, temp_bytes FROM measurements
		WHERE branch_id = ? AND at >= coalesce((SELECT max(at) FROM measurements WHERE branch_id = ? AND at < ?), ?) AND at < ? ORDER BY at`,
		id, id, toMicros(from), toMicros(from), toMicros(to))
}

// PutStatementCount keeps what the server has counted of a statement by now, in place of what was seen earlier in the hour.
func (tx *Tx) PutStatementCount(id holdfast.BranchID, c holdfast.StatementCount) error {
	if err := tx.exec(`INSERT INTO measured_statements (branch_id, sql) VALUES (?, ?) ON CONFLICT DO NOTHING`, id, c.SQL); err != nil {
		return err
	}
	return tx.exec(`INSERT OR REPLACE INTO statement_counts (statement_id, hour, calls, nanoseconds)
		VALUES ((SELECT id FROM measured_statements WHERE branch_id = ? AND sql = ?), ?, ?, ?)`, id, c.SQL, toMicros(c.Hour), c.Calls, int64(c.Time))
}

// StatementCounts lists what was counted of a branch's statements in the hours that touch a time, the oldest first, and before them what was last seen of each before
// that time.
func (tx *Tx) StatementCounts(id holdfast.BranchID, from, to time.Time) ([]holdfast.StatementCount, error) {
	first := toMicros(from.Truncate(time.Hour))
	return collect(tx, func(row scanner) (c holdfast.StatementCount, err error) {
		var hour int64
		err = row.Scan(&hour, &c.SQL, &c.Calls, &c.Time, &c.Before)
		c.Hour = fromMicros(hour)
		return c, err
	}, `SELECT c.hour, s.sql, c.calls, c.nanoseconds, c.hour < ?1 FROM statement_counts c JOIN measured_statements s ON s.id = c.statement_id
		WHERE s.branch_id = ?2 AND c.hour < ?3 AND c.hour >= coalesce((SELECT max(p.hour) FROM statement_counts p WHERE p.statement_id = c.statement_id AND p.hour < ?1), ?1)
		ORDER BY c.hour`, first, id, toMicros(to))
}

// ForgetMeasurements removes what was measured before a time.
func (tx *Tx) ForgetMeasurements(before time.Time) error {
	if err := tx.exec(`DELETE FROM measurements WHERE at < ?`, toMicros(before)); err != nil {
		return err
	}
	if err := tx.exec(`DELETE FROM statement_counts WHERE hour < ?`, toMicros(before.Truncate(time.Hour))); err != nil {
		return err
	}
	return tx.exec(`DELETE FROM measured_statements WHERE id NOT IN (SELECT statement_id FROM statement_counts)`)
}
