package history

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// moveElsewhere makes the branch's server one of which nothing but an address is known. dial, if not nil, opens its connections.
// It is entered as a role that only replicates and reads pages again.
func (b *branch) moveElsewhere(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	b.t.Helper()
	admin, err := b.pg.Connect(b.t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		b.t.Fatal(err)
	}
	defer admin.Close(b.t.Context())
	if !pgtest.Value[bool](b.t, admin, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'copier')") {
		hba := filepath.Join(b.pg.DataDir(), "pg_hba.conf")
		content, err := os.ReadFile(hba)
		if err == nil {
			err = os.WriteFile(hba, append(content, "local replication copier scram-sha-256\n"...), 0o600)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		pgtest.Exec(b.t, admin, "CREATE ROLE copier LOGIN REPLICATION PASSWORD 'proof'")
		pgtest.Exec(b.t, admin, "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO copier")
		pgtest.Exec(b.t, admin, "SELECT pg_reload_conf()")
	}
	config, err := pgx.ParseConfig("host=" + b.pg.SocketDir() + " user=copier password=proof sslmode=disable")
	if err != nil {
		b.t.Fatal(err)
	}
	if dial != nil {
		config.DialFunc = dial
	}
	b.pg = &pgtest.Server{Server: postgres.New(postgres.Config{Elsewhere: config})}
}

const rowChecksum = "SELECT count(*) || ' ' || md5(string_agg(n::text, '|' ORDER BY id)) FROM n"

// fill commits about 12 MB of rows.
func (b *branch) fill() {
	b.t.Helper()
	pgtest.Exec(b.t, b.owner(), "INSERT INTO n (filler) SELECT repeat(md5(g::text), 5) FROM generate_series(1, 50000) g")
}

// expectChecksum restores the present on this machine and compares all rows.
func (b *branch) expectChecksum(like *pgtest.Server, want string) {
	b.t.Helper()
	server, err := restorePoint(b.t, b.archive, like, holdfast.Point{}, false)
	if err != nil {
		b.t.Fatal(err)
	}
	start(b.t, &pgtest.Server{Server: server})
	conn, err := server.ConnectAs(b.t.Context(), pgtest.Owner, pgtest.OwnerPassword, b.db.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close(b.t.Context())
	if got := pgtest.Value[string](b.t, conn, rowChecksum); got != want {
		b.t.Errorf("the restored rows are %s, want %s", got, want)
	}
	if err := server.Stop(b.t.Context(), postgres.Fast); err != nil {
		b.t.Fatal(err)
	}
}

func TestAServerElsewhereIsBackedUpOverTheProtocol(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	here := b.pg
	b.fill()
	owner := b.owner()
	pgtest.Exec(t, owner, "CREATE UNLOGGED TABLE u AS SELECT generate_series(1, 1000)")
	b.moveElsewhere(nil)
	b.attach()
	full := b.backup(true)
	if m, err := readMarker(here.DataDir()); err != nil || m.Lineage != "" {
		t.Errorf("the server's data directory was marked with %+v, %v", m, err)
	}
	pgtest.Exec(t, owner, "UPDATE n SET filler = 'changed' WHERE id % 1000 = 7")
	pgtest.Exec(t, owner, "CREATE TABLE added AS SELECT 1")
	increment := b.backup(false)
	if increment.Parent != full.ID || increment.Stored > full.Stored/2 {
		t.Errorf("the increment of %s stored %d bytes, the full one %d", increment.Parent, increment.Stored, full.Stored)
	}
	pgtest.Exec(t, owner, "INSERT INTO n (filler) VALUES ('after the base backup')")
	b.expectChecksum(here, pgtest.Value[string](t, owner, rowChecksum))
	if _, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Source: FromDirectory}); holdfast.KindOf(err) != holdfast.Precondition {
		t.Errorf("a base backup from the directory of a server elsewhere: %v", err)
	}
	b.detach()
}

// An increment over the protocol has a parent that was read from files, and the other way round: the format is one.
func TestSourcesOfBaseBackupsFollowEachOther(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.fill()
	b.attach()
	owner := b.owner()
	var full Base
	for i, source := range []Source{FromDirectory, FromProtocol, FromDirectory} {
		pgtest.Exec(t, owner, "UPDATE n SET filler = 'changed' WHERE id % 1000 = 7")
		base, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Source: source, Fast: true})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			full = base
		} else if base.Depth != i || base.Stored > full.Stored/2 {
			t.Errorf("the increment by %s has depth %d and stored %d bytes, the full one %d", source, base.Depth, base.Stored, full.Stored)
		}
	}
	b.expectChecksum(b.pg, pgtest.Value[string](t, owner, rowChecksum))
	b.detach()
}

// cut is a connection that breaks after so many bytes from the server.
type cut struct {
	net.Conn
	left int
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the network is gone")
	}
	n, err := c.Conn.Read(p)
	c.left -= n
	return n, err
}

func TestABaseBackupWhoseConnectionIsCutDoesNotCountAndIsResumed(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	here := b.pg
	b.fill()
	owner := b.owner()
	b.moveElsewhere(nil)
	b.attach()
	whole := b.pg
	b.pg = here
	b.moveElsewhere(func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		return &cut{Conn: conn, left: 8 << 20}, err
	})
	if _, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Fast: true}); err == nil || !strings.Contains(err.Error(), "the network is gone") {
		t.Fatalf("the cut connection gave %v", err)
	}
	if bases, err := b.archive.Bases(t.Context()); err != nil || len(bases) > 0 {
		t.Errorf("there are base backups: %v, %v", bases, err)
	}
	left, err := filepath.Glob(filepath.Join(b.config.Dir, "manifest-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	id, err := resumableBase(b.archive.path("base-journal"))
	if err != nil {
		t.Fatal(err)
	}
	b.pg = whole
	if base := b.backup(false); base.ID != id {
		t.Errorf("the next base backup is %s and does not go on with %s", base.ID, id)
	}
	b.expectChecksum(here, pgtest.Value[string](t, owner, rowChecksum))
	b.detach()
}

func TestABackupOverTheProtocolNamesTheDamagedPage(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.fill()
	owner := b.owner()
	path := pgtest.Value[string](t, owner, "SELECT pg_relation_filepath('n')")
	stop(t, b.pg)
	name := filepath.Join(b.pg.DataDir(), path)
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[300*pageSize+4000] ^= 1
	binary.LittleEndian.PutUint32(content[300*pageSize:], 0) // from before the backup, so that no WAL excuses it
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, b.pg)
	b.attach()
	base, err := b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Source: FromProtocol, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []CorruptPage{{File: path, Page: 300}}; !slices.Equal(base.Corrupt, want) || !b.heard(PagesCorrupt) {
		t.Errorf("damaged pages: %v, want %v", base.Corrupt, want)
	}
	b.detach()
}

func TestTablespacesAreRefusedOverTheProtocol(t *testing.T) {
	b := newBranch(t, folder(t, "one"))
	b.attach()
	admin, err := b.pg.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(t.Context())
	pgtest.Exec(t, admin, "SET allow_in_place_tablespaces = on")
	outside := filepath.Join(pgtest.Dir(t), "outside")
	if err := b.pg.Account().MkdirAll(outside); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{"", outside} {
		pgtest.Exec(t, admin, "CREATE TABLESPACE beside LOCATION "+holdfast.QuoteLiteral(location))
		_, err = b.archive.Backup(t.Context(), BackupRequest{Server: b.pg.Server, Source: FromProtocol, Fast: true})
		if holdfast.KindOf(err) != holdfast.Precondition || !strings.Contains(err.Error(), "tablespaces") {
			t.Errorf("a base backup with a tablespace at %q: %v", location, err)
		}
		pgtest.Exec(t, admin, "DROP TABLESPACE beside")
	}
	b.detach()
}
