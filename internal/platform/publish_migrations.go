package platform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/publish"
	"github.com/holdfast/holdfast/internal/schema"
	"github.com/holdfast/holdfast/internal/store"
)

// MigrationTool is the program whose migrations are published. Each keeps a table of what it has run, which is read and written.
type MigrationTool string

// The tools.
const (
	Drizzle MigrationTool = "drizzle"
	Prisma  MigrationTool = "prisma"
	Rails   MigrationTool = "rails"
	Goose   MigrationTool = "goose"
	PlainQL MigrationTool = "sql" // files without a tool
)

// Migration is one file.
type Migration struct {
	Name    string `json:"name"`              // of the file; of the folder with Prisma
	Version int64  `json:"version,omitempty"` // what the tool orders by: a number in the name, or with Drizzle the time in its journal
	SQL     string `json:"sql"`
}

// NewMigrations asks for a publish of migrations.
type NewMigrations struct {
	Tool  MigrationTool
	Files []Migration
}

// Bounds of one publish of migrations.
const (
	maxMigrations   = 5000
	MaxMigrationSQL = 8 << 20 // bytes
)

// PlanMigrations plans to run the migrations on production that it does not have yet, in their order, and to note in the tool's own table
// that they ran. It is rehearsed, applied and reverted like any publish; what a migration itself drops is gone, though.
func (p *Platform) PlanMigrations(ctx context.Context, who holdfast.Principal, project string, ask NewMigrations) (PublishView, error) {
	found, err := p.findPublishing(ctx, project, mayPropose(who))
	if err != nil {
		return PublishView{}, err
	}
	ledger, err := ledgerOf(ask.Tool)
	if err != nil {
		return PublishView{}, err
	}
	if err := checkMigrations(ask); err != nil {
		return PublishView{}, err
	}
	applied, err := p.appliedMigrations(ctx, found.production, ledger)
	if err != nil {
		return PublishView{}, err
	}
	now, err := p.catalog(ctx, found.production)
	if err != nil {
		return PublishView{}, err
	}
	m := &migrating{ledger: ledger, plan: &schema.Plan{From: now.Fingerprint(), Statements: []schema.Statement{}}}
	m.all(ask.Files, applied)
	var pub holdfast.Publish
	err = p.store.Update(ctx, func(tx *store.Tx) (err error) {
		pub, err = p.openMigrations(tx, who, found.project)
		return err
	})
	if err != nil {
		return PublishView{}, err
	}
	if err := p.keepPlan(ctx, who, pub.ProjectID, pub.Number, m.plan, func(*holdfast.Publish) {}); err != nil {
		return PublishView{}, err
	}
	return p.Publish(ctx, who, project, pub.Number)
}

func checkMigrations(ask NewMigrations) error {
	size := 0
	for _, f := range ask.Files {
		size += len(f.SQL)
		if f.Name == "" || len(f.Name) > 200 || strings.ContainsFunc(f.Name, func(r rune) bool { return r < ' ' }) {
			return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%q cannot be a migration's name", f.Name)}
		}
	}
	if len(ask.Files) == 0 || len(ask.Files) > maxMigrations || size > MaxMigrationSQL {
		return &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("%d migrations of %d bytes cannot be published together", len(ask.Files), size), Hint: fmt.Sprintf("1 to %d of at most %d MiB can", maxMigrations, MaxMigrationSQL>>20)}
	}
	return nil
}

// openMigrations finds the project's open publish of migrations, or makes one.
func (p *Platform) openMigrations(tx *store.Tx, who holdfast.Principal, project store.Project) (holdfast.Publish, error) {
	newest, err := tx.Publishes(project.ID, 1)
	if err != nil {
		return holdfast.Publish{}, err
	}
	if len(newest) == 1 && newest[0].Kind == holdfast.PublishMigrations && newest[0].State.Open() {
		return newest[0], notRehearsing(newest[0])
	}
	return p.insertPublish(tx, who, project, holdfast.Publish{Kind: holdfast.PublishMigrations})
}

// ledger is a tool's own table of what it has run.
type ledger struct {
	applied string // a query for the keys of what ran
	key     func(Migration) string
	create  []string // makes the table where it is missing
	record  func(Migration) string
}

// ledgerTables are the tools' own tables, which every migration changes.
func ledgerTables() []string {
	return []string{"drizzle.__drizzle_migrations", "public._prisma_migrations", "public.schema_migrations", "public.goose_db_version"}
}

// ownLedger is where files without a tool are noted: out of sight of the structure that is compared.
const ownLedger = schema.HiddenPrefix + ".migrations"

func ledgerOf(tool MigrationTool) (ledger, error) {
	version := func(m Migration) string { return strconv.FormatInt(m.Version, 10) }
	name := func(m Migration) string { return m.Name }
	sum := func(m Migration) string { h := sha256.Sum256([]byte(m.SQL)); return hex.EncodeToString(h[:]) }
	literal := holdfast.QuoteLiteral
	switch tool {
	case Drizzle:
		return ledger{`SELECT created_at::text FROM drizzle.__drizzle_migrations`, version,
			[]string{`CREATE SCHEMA IF NOT EXISTS drizzle`, `CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint)`},
			func(m Migration) string {
				return `INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES (` + literal(sum(m)) + `, ` + version(m) + `)`
			}}, nil
	case Prisma:
		return ledger{`SELECT migration_name FROM public._prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL`, name,
			[]string{`CREATE TABLE IF NOT EXISTS public._prisma_migrations (id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL, finished_at timestamptz, migration_name varchar(255) NOT NULL,
				logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)`},
			func(m Migration) string {
				return `INSERT INTO public._prisma_migrations (id, checksum, finished_at, migration_name, applied_steps_count) VALUES (gen_random_uuid(), ` + literal(sum(m)) + `, now(), ` + literal(m.Name) + `, 1)`
			}}, nil
	case Rails:
		return ledger{`SELECT version FROM public.schema_migrations`, version, []string{`CREATE TABLE IF NOT EXISTS public.schema_migrations (version varchar NOT NULL PRIMARY KEY)`},
			func(m Migration) string {
				return `INSERT INTO public.schema_migrations (version) VALUES (` + literal(version(m)) + `)`
			}}, nil
	case Goose:
		return ledger{`SELECT version_id::text FROM public.goose_db_version GROUP BY version_id HAVING (array_agg(is_applied ORDER BY id DESC))[1]`, version,
			[]string{`CREATE TABLE IF NOT EXISTS public.goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now())`},
			func(m Migration) string {
				return `INSERT INTO public.goose_db_version (version_id, is_applied) VALUES (` + version(m) + `, true)`
			}}, nil
	case PlainQL:
		return ledger{`SELECT name FROM ` + ownLedger, name,
			[]string{`CREATE SCHEMA IF NOT EXISTS ` + schema.HiddenPrefix, `CREATE TABLE IF NOT EXISTS ` + ownLedger + ` (name text PRIMARY KEY, checksum text NOT NULL, at timestamptz NOT NULL DEFAULT now())`},
			func(m Migration) string {
				return `INSERT INTO ` + ownLedger + ` (name, checksum) VALUES (` + literal(m.Name) + `, ` + literal(sum(m)) + `)`
			}}, nil
	}
	return ledger{}, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("migrations of %q are not known", tool), Hint: "choose drizzle, prisma, rails, goose or sql"}
}

// appliedMigrations are the keys of what ran on a branch already.
func (p *Platform) appliedMigrations(ctx context.Context, b store.Branch, l ledger) (map[string]bool, error) {
	conn, err := p.ownerConn(ctx, b)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, l.applied)
	var keys []string
	if err == nil {
		keys, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42P01" || refused.Code == "3F000") {
		return map[string]bool{}, nil // nothing ran yet
	}
	if err != nil {
		return nil, fmt.Errorf("read which migrations ran on %s: %w", b.Ref(), err)
	}
	out := map[string]bool{}
	for _, k := range keys {
		out[k] = true
	}
	return out, nil
}

// migrating turns files into a plan.
type migrating struct {
	ledger ledger
	plan   *schema.Plan
	group  int
}

// usersPath is where a tool's session finds names that are written without a schema.
const usersPath = `search_path = "$user", public`

func (m *migrating) all(files []Migration, applied map[string]bool) {
	pending := 0
	for _, f := range files {
		if applied[m.ledger.key(f)] {
			continue
		}
		if pending == 0 {
			m.begin()
			for _, sql := range m.ledger.create {
				m.add(f, sql, "make the table of migrations that ran where it is missing")
			}
		}
		pending++
		m.file(f)
	}
	if pending < len(files) {
		m.plan.Notes = append(m.plan.Notes, fmt.Sprintf("%d of %d migrations ran on production before", len(files)-pending, len(files)))
	}
}

// begin opens a transaction: statements share one until one comes that cannot be in any, so that all of it happens or nothing.
func (m *migrating) begin() {
	m.group++
	m.plan.Statements = append(m.plan.Statements, schema.Statement{SQL: "SET LOCAL " + usersPath, Description: "find names as the tool does", Object: schema.Address{Kind: "migration", Name: "session"}, Transactional: true, Group: m.group})
}

func (m *migrating) add(f Migration, sql, description string) {
	m.plan.Statements = append(m.plan.Statements, m.judged(schema.Statement{SQL: sql, Description: description, Object: schema.Address{Kind: "migration", Name: f.Name}, Transactional: true, Group: m.group}))
}

// alone adds a statement that no transaction may hold.
func (m *migrating) alone(f Migration, sql string) {
	for _, s := range []schema.Statement{{SQL: "SET " + usersPath, Description: "find names as the tool does"}, {SQL: sql, Description: f.Name + ": " + firstWords(sql), Cleanup: cleanupOf(sql)}} {
		m.group++
		s.Object, s.Group = schema.Address{Kind: "migration", Name: f.Name}, m.group
		m.plan.Statements = append(m.plan.Statements, m.judged(s))
	}
}

func (m *migrating) file(f Migration) {
	for _, sql := range schema.SplitStatements(upPart(f.SQL)) {
		words := strings.ToUpper(firstWords(sql))
		switch {
		case slices.Contains([]string{"BEGIN", "START TRANSACTION", "COMMIT", "END", "BEGIN TRANSACTION", "COMMIT TRANSACTION", "END TRANSACTION"}, words):
			continue // the transaction is ours
		case strings.HasPrefix(words, "ROLLBACK"), strings.HasPrefix(words, "SAVEPOINT"), strings.HasPrefix(words, "PREPARE TRANSACTION"):
			m.plan.Problems = append(m.plan.Problems, schema.Problem{Object: schema.Address{Kind: "migration", Name: f.Name}, Reason: "it controls transactions: " + firstWords(sql)})
		case outsideTransaction.MatchString(withoutComments(sql)):
			m.alone(f, sql)
			m.begin()
		default:
			m.add(f, sql, f.Name+": "+firstWords(sql))
		}
	}
	m.add(f, m.ledger.record(f), "note that "+f.Name+" ran")
}

// judged adds the hazards that can be told from the statement alone.
func (m *migrating) judged(s schema.Statement) schema.Statement {
	for _, f := range schema.Lint(s.SQL) {
		if f.Class == schema.Refused || f.Class == schema.Safe {
			continue
		}
		s.Hazards = append(s.Hazards, schema.Hazard{Class: f.Class, Text: f.Why})
		if f.Lock.Stronger(s.Lock) {
			s.Lock = f.Lock
		}
	}
	return s
}

var (
	outsideTransaction = regexp.MustCompile(`(?is)^(CREATE\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY|DROP\s+INDEX\s+CONCURRENTLY|REINDEX\b.*\bCONCURRENTLY|ALTER\s+TABLE\b.*\bDETACH\s+PARTITION\b.*\bCONCURRENTLY|VACUUM\b|ALTER\s+TYPE\b.*\bADD\s+VALUE\b)`)
	concurrentIndex    = regexp.MustCompile(`(?is)^CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s+ON\s`)
	leadingComments    = regexp.MustCompile(`^(?:\s+|--[^\n]*(?:\n|$)|/\*(?s:.*?)\*/)+`)
	downMark           = regexp.MustCompile(`(?im)^--\s*(\+goose\s+Down|migrate:down)\b`)
)

// upPart is what leads up of a file that also leads down.
func upPart(sql string) string {
	if at := downMark.FindStringIndex(sql); at != nil {
		return sql[:at[0]]
	}
	return sql
}

func withoutComments(sql string) string { return leadingComments.ReplaceAllString(sql, "") }

// firstWords is the beginning of a statement, for a person.
func firstWords(sql string) string {
	text := strings.Join(strings.Fields(withoutComments(sql)), " ")
	if runes := []rune(text); len(runes) > 70 {
		return string(runes[:67]) + "..."
	}
	return text
}

// cleanupOf removes what a failed CREATE INDEX CONCURRENTLY leaves.
func cleanupOf(sql string) string {
	found := concurrentIndex.FindStringSubmatch(withoutComments(sql))
	if found == nil {
		return ""
	}
	return "DROP INDEX CONCURRENTLY IF EXISTS " + found[1]
}

// acceptResult makes what the copy became the aim: migrations say what to do, not what comes of it.
func (h *rehearsing) acceptResult(ctx context.Context, report *RehearsalReport) error {
	if h.pub.Kind != holdfast.PublishMigrations && !h.acceptsPhase() || report.Error != "" {
		return nil
	}
	now, err := h.catalog(ctx, h.copy)
	if err != nil {
		return err
	}
	h.plan.To = now.Fingerprint()
	// The way back, and a compensation, must know what is the migrations' own.
	h.plan.Makes = nil
	for _, a := range now.Addresses() {
		if h.production.Objects[a] == nil {
			h.plan.Makes = append(h.plan.Makes, a)
		}
	}
	report.Leftovers = []string{}
	if h.pub.Kind != holdfast.PublishMigrations {
		report.Reasons = slices.DeleteFunc(report.Reasons, func(r publish.Reason) bool { return r.Code == "oracle" })
		return nil
	}
	report.Reasons = slices.DeleteFunc(report.Reasons, func(r publish.Reason) bool { return r.Code == "oracle" || r.Code == "rows" })
	for _, t := range report.Tables {
		if slices.Contains(ledgerTables(), t.Table) || t.RowsBefore == t.RowsAfter && len(t.Changed) == 0 {
			continue
		}
		text := fmt.Sprintf("the migrations change rows of %s: it had %d and has %d", t.Table, t.RowsBefore, t.RowsAfter)
		if t.RowsBefore == t.RowsAfter {
			text = fmt.Sprintf("the migrations change values of %s in %s", t.Table, strings.Join(t.Changed, ", "))
		}
		report.Reasons = append(report.Reasons, publish.Reason{Verdict: publish.NeedsAnswer, Code: "rows", Text: text, Allow: "lossy"})
	}
	return nil
}
