package sample_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/sample"
)

// Bytes that differ between two machines or two versions of Go would make bug reports differ. Change these hashes only
// together with a deliberate change of the data set.
func TestTheSampleIsTheSameEverywhere(t *testing.T) {
	for rows, want := range map[int64]string{
		1:    "893d0c5f3ad2135530bd9216b0fa2a6f435ff758a6dd546b951895e86d6992d8",
		7:    "c60cd2be851347c73d5d89b69c0770648a9f60b18de574fb10fdc07683fff27d",
		2000: "919e1d86ffbd5d9a425ec40f638effc55e53dbc16b9921b2f40903f9a3531905",
	} {
		hash := sha256.New()
		for _, table := range sample.Tables() {
			if err := sample.Write(hash, table.Name, rows); err != nil {
				t.Fatal(err)
			}
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != want {
			t.Errorf("%d rows have the hash %s, want %s", rows, got, want)
		}
	}
}

func TestTheSampleLoadsAndItsReferencesHold(t *testing.T) {
	for _, rows := range []int64{0, 1, 7, 3000, 60_000} {
		t.Run(fmt.Sprint(rows), func(t *testing.T) {
			conn := pgtest.Start(t).Database(t).ConnectOwner(t)
			load(t, conn, rows)
			for _, table := range sample.Tables() {
				want, err := sample.Count(table.Name, rows)
				if err != nil {
					t.Fatal(err)
				}
				got := pgtest.Value[int64](t, conn, "SELECT count(*) FROM "+holdfast.QuoteIdentifier(table.Name))
				if got != want || rows > 0 && got == 0 || got > max(rows, 1) {
					t.Errorf("%s has %d rows, want %d", table.Name, got, want)
				}
			}
			if invalid := pgtest.Value[int64](t, conn, "SELECT count(*) FROM pg_constraint WHERE NOT convalidated"); invalid != 0 {
				t.Errorf("%d constraints are not valid", invalid)
			}
		})
	}
}

// The next row that a user inserts must not collide with the loaded ones.
func TestNewRowsContinueAfterTheLoadedOnes(t *testing.T) {
	conn := pgtest.Start(t).Database(t).ConnectOwner(t)
	load(t, conn, 100)
	id := pgtest.Value[int64](t, conn, "INSERT INTO messages (contact_id, channel, outgoing, subject, body) VALUES (1, 'email', true, 'Hello', 'World') RETURNING id")
	if id != 101 {
		t.Errorf("the first new message is %d, want 101", id)
	}
	before := pgtest.Value[time.Time](t, conn, "SELECT updated_at FROM deals WHERE id = 1")
	after := pgtest.Value[time.Time](t, conn, "UPDATE deals SET probability = 50 WHERE id = 1 RETURNING updated_at")
	if !after.After(before) {
		t.Errorf("updated_at stayed at %v", after)
	}
}

func TestTheSampleLooksLikeData(t *testing.T) {
	conn := pgtest.Start(t).Database(t).ConnectOwner(t)
	load(t, conn, 5000)
	for query, want := range map[string]bool{
		// Text of every kind passes: accents, quotes, backslashes, line breaks.
		"SELECT EXISTS (SELECT FROM contacts WHERE full_name ~ '[éëøŁ]')":                                                   true,
		`SELECT EXISTS (SELECT FROM messages WHERE body LIKE '%\\\\files\\\\deals%' ESCAPE '' OR body LIKE E'%\\\\files%')`: true,
		"SELECT EXISTS (SELECT FROM messages WHERE body LIKE E'%\\n\\n%')":                                                  true,
		"SELECT EXISTS (SELECT FROM startups WHERE '\"stealth\"' = ANY (tags))":                                             true,
		"SELECT EXISTS (SELECT FROM deals WHERE stage = 'closed') AND EXISTS (SELECT FROM deals WHERE stage = 'lost')":      true,
		// A message about a deal goes to somebody at the deal's startup.
		`SELECT EXISTS (SELECT FROM messages m JOIN deals d ON d.id = m.deal_id JOIN contacts c ON c.id = m.contact_id
			WHERE c.startup_id <> d.startup_id)`: false,
		"SELECT EXISTS (SELECT FROM messages m JOIN deals d ON d.id = m.deal_id)":                                    true,
		"SELECT EXISTS (SELECT FROM messages WHERE subject || body ~ '[{}]')":                                        false,
		"SELECT EXISTS (SELECT FROM news_articles WHERE search @@ websearch_to_tsquery('regulators'))":               true,
		"SELECT EXISTS (SELECT FROM deal_pipeline WHERE firm IS NOT NULL) AND EXISTS (SELECT FROM startup_activity)": true,
		"SELECT EXISTS (SELECT FROM startups WHERE profile @> '{\"audited\": true}')":                                true,
		"SELECT EXISTS (SELECT FROM messages WHERE sent_at < '2019-01-01' OR read_at > '2026-01-02')":                false,
	} {
		if got := pgtest.Value[bool](t, conn, query); got != want {
			t.Errorf("%s: %t", query, got)
		}
	}
}

func TestASampleThatCannotBeMadeIsRefused(t *testing.T) {
	if err := sample.Write(io.Discard, "messages", -1); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("got %v for -1 rows", err)
	}
	if err := sample.Write(io.Discard, "messages", sample.MaxRows); holdfast.KindOf(err) != holdfast.Invalid {
		t.Errorf("got %v for too many rows", err)
	}
	if err := sample.Write(io.Discard, "employees", 1); holdfast.KindOf(err) != holdfast.NotFound {
		t.Errorf("got %v for an unknown table", err)
	}
	full := errors.New("disk full")
	if err := sample.Write(failing{full}, "messages", 1000); !errors.Is(err, full) {
		t.Errorf("got %v from a writer that fails", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// load does what the product does with the sample.
func load(t *testing.T, conn *pgx.Conn, rows int64) {
	t.Helper()
	ctx := context.Background()
	pgtest.Exec(t, conn, sample.Schema())
	for _, table := range sample.Tables() {
		var columns []string
		for _, c := range table.Columns {
			columns = append(columns, holdfast.QuoteIdentifier(c))
		}
		copyIn := fmt.Sprintf("COPY %s (%s) FROM STDIN", holdfast.QuoteIdentifier(table.Name), strings.Join(columns, ", "))
		read, write := io.Pipe()
		go func() { write.CloseWithError(sample.Write(write, table.Name, rows)) }()
		if _, err := conn.PgConn().CopyFrom(ctx, read, copyIn); err != nil {
			t.Fatalf("copy into %s: %v", table.Name, err)
		}
	}
	pgtest.Exec(t, conn, sample.After())
}

func BenchmarkMessages(b *testing.B) {
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		if err := sample.Write(&out, "messages", 10_000); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(out.Len()))
}
