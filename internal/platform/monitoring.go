package platform

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	// monitorInterval is how often awake branches are measured.
	monitorInterval = time.Minute
	// monitorPatience bounds the measuring of one branch.
	monitorPatience = 10 * time.Second
	// monitoredStatements is how many statements of a branch are kept an hour, of monitoredText characters.
	monitoredStatements, monitoredText = 50, 4000
	// maxMonitoringSteps bounds an answer.
	maxMonitoringSteps = 1500
	// slowStatements is how many statements an answer has.
	slowStatements = 20
)

// Monitoring is what a branch's server did within a time.
type Monitoring struct {
	From, To   time.Time
	Step       time.Duration
	Steps      []holdfast.MonitoringStep // those in which it was awake
	Statements []holdfast.SlowStatement  // that took most time; by whole hours
}

// Monitoring says what a branch did within a time, as it was measured while the branch was awake. It wakes nothing. A zero from is an hour before to, a zero to is
// now, and a zero step is chosen.
func (p *Platform) Monitoring(ctx context.Context, who holdfast.Principal, ref holdfast.BranchRef, from, to time.Time, step time.Duration) (Monitoring, error) {
	b, err := p.findBranch(ctx, who, ref, holdfast.MayRead)
	if err != nil {
		return Monitoring{}, err
	}
	now := p.now()
	if to.IsZero() || to.After(now) {
		to = now
	}
	if from.IsZero() {
		from = to.Add(-time.Hour)
	}
	if earliest := now.Add(-holdfast.MonitoringKept); from.Before(earliest) {
		from = earliest
	}
	if !from.Before(to) {
		return Monitoring{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "the time ends before it begins, or more than 14 days ago", Hint: "measurements are kept for 14 days"}
	}
	if step == 0 {
		step = monitoringStep(to.Sub(from))
	}
	if step < monitorInterval || to.Sub(from)/step > maxMonitoringSteps {
		return Monitoring{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("steps of %s are too short", step), Hint: fmt.Sprintf("a step has at least a minute, and an answer at most %d of them", maxMonitoringSteps)}
	}
	from = from.Truncate(step) // so that the steps of two answers are the same
	var measured []holdfast.Measurement
	var counts []holdfast.StatementCount
	err = p.store.View(ctx, func(tx *store.Tx) (err error) {
		if measured, err = tx.Measurements(b.ID, from, to); err != nil {
			return err
		}
		counts, err = tx.StatementCounts(b.ID, from, to)
		return err
	})
	if err != nil {
		return Monitoring{}, err
	}
	return Monitoring{From: from, To: to, Step: step, Steps: holdfast.MonitoringSteps(measured, from, step), Statements: holdfast.SlowStatements(counts, slowStatements)}, nil
}

// monitoringStep chooses steps that are neither few nor many.
func monitoringStep(length time.Duration) time.Duration {
	for _, step := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		if length/step <= 120 {
			return step
		}
	}
	return 4 * time.Hour
}

// monitor measures the awake branches until ctx ends.
func (p *Platform) monitor(ctx context.Context) {
	tick := time.NewTicker(monitorInterval)
	defer tick.Stop()
	var forgotten time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := p.monitorOnce(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("measure the branches", "err", err)
		}
		if now := p.now(); now.Sub(forgotten) >= time.Hour {
			forgotten = now
			if err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.ForgetMeasurements(now.Add(-holdfast.MonitoringKept)) }); err != nil && ctx.Err() == nil {
				p.log.Warn("forget old measurements", "err", err)
			}
		}
	}
}

// measured is what one branch said.
type measured struct {
	id     holdfast.BranchID
	now    holdfast.Measurement
	counts []holdfast.StatementCount
}

// monitorOnce measures every branch that is awake, and keeps what it learned in one transaction.
func (p *Platform) monitorOnce(ctx context.Context) error {
	var all []store.Branch
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { all, err = tx.AllBranches(); return err }); err != nil {
		return err
	}
	var found []measured
	var errs []error
	for _, b := range all {
		if b.State != store.Ready || !b.DeletedAt.IsZero() {
			continue
		}
		m, err := p.measureServer(ctx, b)
		switch s, _ := p.fleet.Status(b.ID); {
		case err == nil:
			found = append(found, m)
		case errors.Is(err, fleet.ErrAsleep) || s.Activity != holdfast.Awake: // it fell asleep meanwhile
		default:
			errs = append(errs, fmt.Errorf("measure %s: %w", b.Ref(), err))
		}
	}
	err := p.store.Update(ctx, func(tx *store.Tx) error {
		for _, m := range found {
			if _, err := tx.Branch(m.id); err != nil { // purged meanwhile
				continue
			}
			if err := tx.AddMeasurement(m.id, m.now); err != nil {
				return err
			}
			for _, c := range m.counts {
				if err := tx.PutStatementCount(m.id, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (p *Platform) measureServer(ctx context.Context, b store.Branch) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, monitorPatience)
	defer cancel()
	m := measured{id: b.ID, now: holdfast.Measurement{At: p.now()}}
	err := p.fleet.Observe(ctx, b.ID, func(conn *pgx.Conn) error {
		if err := readMeasurement(ctx, conn, b.Ref().Database(), &m.now); err != nil {
			return err
		}
		statements, err := publish.ReadWorkload(ctx, conn, b.Ref().Database())
		if holdfast.KindOf(err) == holdfast.Precondition { // it does not count them
			return nil
		}
		for _, s := range statements[:min(len(statements), monitoredStatements)] {
			text := []rune(s.SQL)
			m.counts = append(m.counts, holdfast.StatementCount{Hour: m.now.At.Truncate(time.Hour), SQL: string(text[:min(len(text), monitoredText)]), Calls: s.Calls, Time: time.Duration(s.TotalTime)})
		}
		return err
	})
	return m, err
}

func readMeasurement(ctx context.Context, conn *pgx.Conn, database string, m *holdfast.Measurement) error {
	err := conn.QueryRow(ctx, `SELECT s.n, s.active, s.in_transaction, s.waiting, pg_database_size(d.datid), d.xact_commit, d.xact_rollback, d.blks_hit, d.blks_read, d.deadlocks, d.temp_bytes
		FROM pg_stat_database d, (SELECT count(*) AS n, count(*) FILTER (WHERE state = 'active') AS active,
			count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS in_transaction, count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting
			FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend' AND pid <> pg_backend_pid()) s
		WHERE d.datname = $1`, database).Scan(&m.Connections, &m.Active, &m.InTransaction, &m.Waiting, &m.Size, &m.Commits, &m.Rollbacks, &m.BlocksHit, &m.BlocksRead, &m.Deadlocks, &m.TempBytes)
	if err != nil {
		return fmt.Errorf("read the server's statistics: %w", err)
	}
	return nil
}
