package platform

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/history"
	"github.com/holdfast/holdfast/internal/store"
)

const (
	// sampleTimeout bounds the look at one server.
	sampleTimeout = 5 * time.Second
	// inspectEvery is how often the locations are asked whether what should be there is.
	inspectEvery = 10 * time.Minute
)

// sample is what a server that is awake says of itself.
type sample struct {
	transaction held // the one that is open longest
	waiting     held // the session that waits longest for a lock
	slots       []slot
}

// held is a session and since when it holds or waits for something; no since: there is none.
type held struct {
	who   string
	since time.Time
	by    string // who lets it wait
}

type slot struct {
	name  string
	bytes int64
	lost  bool
}

// sampleServers looks at every server that is awake. It wakes none and keeps none awake.
func (p *Platform) sampleServers(ctx context.Context, l *outlook) map[holdfast.BranchID]sample {
	out := map[holdfast.BranchID]sample{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan struct{}, 4) // looks at once
	for _, b := range l.branches {
		s, err := p.fleet.Status(b.ID)
		if err != nil || s.Activity != holdfast.Awake {
			continue // what sleeps has no sessions
		}
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			got, err := p.sampleServer(ctx, b)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				out[b.ID] = got
				return
			}
			for _, c := range []holdfast.Condition{holdfast.LongTransaction, holdfast.LockWait, holdfast.SlotRetention} {
				l.unsure[at(c, b, "")] = true
			}
		})
	}
	wg.Wait()
	return out
}

func (p *Platform) sampleServer(ctx context.Context, b store.Branch) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	conn, err := p.fleet.Look(ctx, b.ID)
	if err != nil {
		return s, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Sessions of ours do not count, and neither does a statement's text: it may hold what is nobody's business.
	if s.transaction, err = oneHeld(ctx, conn, `SELECT who, since, '' FROM (
			SELECT coalesce(usename, '') || ' (process ' || pid || ')' AS who, xact_start AS since FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND xact_start IS NOT NULL AND usename <> current_user AND pid <> pg_backend_pid()
			UNION ALL SELECT owner || ' (prepared transaction)', prepared FROM pg_prepared_xacts) AS open
		ORDER BY since LIMIT 1`); err != nil {
		return s, err
	}
	if s.waiting, err = oneHeld(ctx, conn, `SELECT coalesce(a.usename, '') || ' (process ' || l.pid || ')', l.waitstart,
			coalesce((SELECT string_agg(coalesce(h.usename, '') || ' (process ' || h.pid || ')', ', ') FROM pg_stat_activity h WHERE h.pid = ANY (pg_blocking_pids(l.pid))), '')
		FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE NOT l.granted AND l.waitstart IS NOT NULL ORDER BY l.waitstart LIMIT 1`); err != nil {
		return s, err
	}
	rows, err := conn.Query(ctx, `SELECT slot_name::text, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8, coalesce(wal_status IN ('unreserved', 'lost'), false)
		FROM pg_replication_slots WHERE NOT temporary`)
	if err != nil {
		return s, err
	}
	s.slots, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one slot, err error) {
		return one, row.Scan(&one.name, &one.bytes, &one.lost)
	})
	return s, err
}

func oneHeld(ctx context.Context, conn *pgx.Conn, query string) (h held, err error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return h, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one held, err error) {
		return one, row.Scan(&one.who, &one.since, &one.by)
	})
	if err != nil || len(all) == 0 {
		return h, err
	}
	return all[0], nil
}

// findSamples judges what the servers said.
func (p *Platform) findSamples(_ context.Context, l *outlook) (found []finding) {
	// The servers' clock is the machine's, also where that of the platform is another.
	clock := time.Now()
	for _, b := range l.branches {
		s, sampled := l.samples[b.ID]
		if !sampled {
			continue
		}
		if h := s.transaction; !h.since.IsZero() && clock.Sub(h.since) > l.settings.LongTransaction {
			found = append(found, on(holdfast.LongTransaction, b, fmt.Sprintf("a transaction of %s is open since %s", h.who, h.since.UTC().Format(time.RFC3339)),
				"it keeps the branch awake and vacuum from cleaning up; end it with pg_terminate_backend when nobody needs it"))
		}
		if h := s.waiting; !h.since.IsZero() && clock.Sub(h.since) > l.settings.LockWait {
			message := fmt.Sprintf("%s waits for a lock since %s", h.who, h.since.UTC().Format(time.RFC3339))
			if h.by != "" {
				message += ", held by " + h.by
			}
			found = append(found, on(holdfast.LockWait, b, message, "let the other transaction end, or end it with pg_terminate_backend"))
		}
		for _, one := range s.slots {
			if !one.lost && one.bytes <= l.settings.SlotBytes {
				continue
			}
			message := fmt.Sprintf("the replication slot %s keeps more than %d MiB of WAL", one.name, l.settings.SlotBytes>>20)
			if one.lost {
				message = "the replication slot " + one.name + " has lost WAL that its reader still needs, or is about to"
			}
			found = append(found, finding{at(holdfast.SlotRetention, b, one.name), b.Ref().String(), message, "let its reader go on, or drop the slot with pg_drop_replication_slot when it has none"})
		}
	}
	return found
}

// inspectLocations asks the locations now and then whether what should be there is, and can be opened.
func (p *Platform) inspectLocations(ctx context.Context, l *outlook) {
	p.alerts.mu.Lock()
	due := l.now.Sub(p.alerts.inspected) >= inspectEvery || len(p.alerts.missing) > 0
	p.alerts.mu.Unlock()
	if !due {
		return
	}
	var missing []finding
	unsure := map[keyOfAlert]bool{}
	opened := map[holdfast.ProjectID][]history.Location{}
	for _, b := range l.branches {
		archive, err := p.archive(b)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
		if opened[b.ProjectID] == nil {
			if opened[b.ProjectID], err = p.openLocations(ctx, b.ProjectID); err != nil {
				unsure[at(holdfast.KeyMissing, b, "")] = true // a disk that is not mounted
			}
		}
		for location, err := range archive.Inspect(ctx, opened[b.ProjectID]) {
			key := at(holdfast.KeyMissing, b, location)
			switch holdfast.KindOf(err) {
			case holdfast.NotFound:
				missing = append(missing, finding{key, b.Ref().String(), fmt.Sprintf("at the location %s the history of %s is not whole: %s", location, b.Ref(), err),
					"somebody removed it there; see what else is missing with `holdfast recover --list`, and make a new base backup"})
			case holdfast.Precondition, holdfast.Corrupt:
				missing = append(missing, finding{key, b.Ref().String(), fmt.Sprintf("what lies at the location %s of %s cannot be opened: %s", location, b.Ref(), err),
					"put the key back that it was encrypted with: docs/history.md"})
			default:
				unsure[key] = true // out of reach for now; that is another condition
			}
		}
		cancel()
	}
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	p.alerts.missing, p.alerts.unsure, p.alerts.inspected = missing, unsure, l.now
}

// findMissing repeats what the last inspection of the locations found.
func (p *Platform) findMissing(_ context.Context, l *outlook) []finding {
	p.alerts.mu.Lock()
	defer p.alerts.mu.Unlock()
	for key := range p.alerts.unsure {
		l.unsure[key] = true
	}
	return slices.Clone(p.alerts.missing)
}
