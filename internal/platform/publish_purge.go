package platform

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/fleet"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// purgePublishes removes what publishes have set aside when their grace period has ended, until ctx ends.
func (p *Platform) purgePublishes(ctx context.Context) {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := p.purgeOnce(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn("remove what publishes have set aside", "err", err)
		}
	}
}

func (p *Platform) purgeOnce(ctx context.Context) error {
	var due []holdfast.Publish
	waiting := map[holdfast.ProjectID]bool{} // projects with a publish that can still be reverted
	err := p.store.View(ctx, func(tx *store.Tx) error {
		for _, state := range []holdfast.PublishState{holdfast.PublishPublished, holdfast.PublishReverted} {
			all, err := tx.PublishesIn(state)
			if err != nil {
				return err
			}
			for _, pub := range all {
				switch {
				case pub.Purged:
				case p.now().Before(pub.GraceUntil):
					waiting[pub.ProjectID] = true
				default:
					due = append(due, pub)
				}
			}
		}
		return nil
	})
	for _, pub := range due {
		if err == nil && pub.Kind.Phase() {
			// Its later phases read what this one keeps of the structure.
			var open *expanding
			if open, err = p.expandingNow(ctx, pub.ProjectID); open != nil {
				continue
			}
		}
		if err == nil {
			err = p.purge(ctx, pub, !waiting[pub.ProjectID])
		}
	}
	return err
}

// purge removes what one publish has set aside. It wakes nothing: what sleeps is looked at again later. last says that no other publish
// needs what has no number.
func (p *Platform) purge(ctx context.Context, pub holdfast.Publish, last bool) error {
	var found publishing
	if err := p.store.View(ctx, func(tx *store.Tx) (err error) { found, err = p.publishingByID(tx, pub.ProjectID); return err }); err != nil {
		return err
	}
	if found.production.ID == "" {
		return nil // the project is being deleted
	}
	release, err := p.fleet.HoldAwake(found.production.ID)
	if errors.Is(err, fleet.ErrAsleep) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	conn, err := p.ownerConn(ctx, found.production)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := dropTombstones(ctx, conn.Conn, pub.Number, last); err != nil {
		return fmt.Errorf("what publish %d of %s has set aside: %w", pub.Number, found.project.Name, err)
	}
	_, err = p.changePublish(ctx, pub.ProjectID, pub.Number, func(tx *store.Tx, pub *holdfast.Publish) error {
		pub.Purged = true
		// The way back is over: its texts are not needed any more.
		for _, doc := range []holdfast.PublishDoc{holdfast.PublishBeforeDoc, holdfast.PublishBaseDoc, holdfast.PublishSourceDoc, holdfast.PublishOldDoc, holdfast.PublishDumpDoc} {
			if err := tx.DeletePublishDoc(pub.ProjectID, pub.Number, doc); err != nil {
				return err
			}
		}
		return p.record(tx, System(), "publish.purge", publishSubject(found.project.Name, pub.Number), nil)
	})
	return err
}

// dropTombstones drops the tables that carry a publish's number, all or none. With last it also drops what carries none: types and
// sequences that such tables needed.
func dropTombstones(ctx context.Context, conn *pgx.Conn, number int, last bool) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Nobody else uses these, so whoever is waited for is a backup; the next round comes soon enough.
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'; SET LOCAL search_path = pg_catalog, pg_temp"); err != nil {
			return err
		}
		tables, err := names(ctx, tx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND obj_description(c.oid, 'pg_class') LIKE '{%' AND obj_description(c.oid, 'pg_class')::jsonb ->> 'publish' = $2`,
			schema.TombstoneSchema, strconv.Itoa(number))
		if err != nil {
			return err
		}
		if len(tables) > 0 {
			if _, err := tx.Exec(ctx, "DROP TABLE "+strings.Join(tables, ", ")); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		return dropRest(ctx, tx)
	})
}

// dropRest drops what nothing needs of the rest, in whatever order works.
func dropRest(ctx context.Context, tx pgx.Tx) error {
	const rest = `SELECT 'SEQUENCE' AS kind, c.relname AS name, '' AS arguments FROM pg_class c WHERE c.relnamespace = to_regnamespace($1)::oid AND c.relkind = 'S'
		UNION ALL SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.typname, '' FROM pg_type t WHERE t.typnamespace = to_regnamespace($1)::oid AND t.typtype IN ('e', 'd', 'r', 'c')
			AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
		UNION ALL SELECT 'COLLATION', l.collname, '' FROM pg_collation l WHERE l.collnamespace = to_regnamespace($1)::oid
		UNION ALL SELECT 'ROUTINE', f.proname, '(' || pg_get_function_identity_arguments(f.oid) || ')' FROM pg_proc f WHERE f.pronamespace = to_regnamespace($1)::oid`
	for dropped := true; dropped; {
		dropped = false
		rows, err := tx.Query(ctx, rest, schema.TombstoneSchema)
		if err != nil {
			return err
		}
		left, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var kind, name, arguments string
			err := row.Scan(&kind, &name, &arguments)
			return kind + " " + holdfast.QuoteQualified(schema.TombstoneSchema, name) + arguments, err
		})
		if err != nil {
			return err
		}
		for _, what := range left {
			// Something may need it: that stays, and so does it.
			inner, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := inner.Exec(ctx, "DROP "+what); err != nil {
				if err := inner.Rollback(ctx); err != nil {
					return err
				}
				continue
			}
			if err := inner.Commit(ctx); err != nil {
				return err
			}
			dropped = true
		}
	}
	return nil
}

// names runs a query for names in the tombstone schema and quotes them.
func names(ctx context.Context, tx pgx.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var name string
		err := row.Scan(&name)
		return holdfast.QuoteQualified(schema.TombstoneSchema, name), err
	})
}
