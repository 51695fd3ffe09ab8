package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// What an agent's session could try without any transaction that is read-only: the rights alone refuse it.
func TestTheAgentRoleCannotWriteByItsRights(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	admin := db.Connect(t)
	pgtest.Exec(t, admin, `CREATE SCHEMA "Inner"; CREATE TABLE "Inner".orders (id serial PRIMARY KEY, total int); INSERT INTO "Inner".orders (total) VALUES (1), (2);
		CREATE VIEW "Inner".sums AS SELECT sum(total) FROM "Inner".orders;
		CREATE TABLE "Inner".rows AS SELECT 1 AS mine; ALTER TABLE "Inner".rows ENABLE ROW LEVEL SECURITY;
		CREATE FOREIGN DATA WRAPPER other; CREATE SERVER other FOREIGN DATA WRAPPER other; CREATE FOREIGN TABLE "Inner".far (x int) SERVER other;
		CREATE FUNCTION add() RETURNS void LANGUAGE sql AS 'INSERT INTO "Inner".orders (total) VALUES (3)'`)
	verifier, err := postgres.NewVerifier("secret")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := postgres.PutAgentRole(t.Context(), admin, verifier, db.Name); err != nil {
			t.Fatal(err)
		}
	}
	// Roles are of the server, which other tests use.
	t.Cleanup(func() {
		conn, err := db.Server.Connect(context.Background(), db.Name)
		if err == nil {
			err = postgres.RemoveAgentRole(context.Background(), conn)
			_ = conn.Close(context.Background()) // it has answered
		}
		if err != nil {
			t.Error(err)
		}
	})
	agent, err := db.Server.ConnectAs(t.Context(), postgres.AgentRole, "secret", db.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Close(context.Background()) }) // its role is dropped next
	if n := pgtest.Value[int](t, agent, `SELECT count(*) + (SELECT sum FROM "Inner".sums) FROM "Inner".orders`); n != 5 {
		t.Errorf("it reads %d", n)
	}
	if n := pgtest.Value[int](t, agent, `SELECT count(*) FROM "Inner".rows`); n != 0 {
		t.Errorf("it sees %d rows that no policy shows it", n)
	}
	if pgtest.Value[bool](t, admin, `SELECT has_table_privilege('holdfast_agent', '"Inner".far', 'SELECT')`) {
		t.Error("it reads a foreign table")
	}
	for _, sql := range []string{
		`INSERT INTO "Inner".orders (total) VALUES (9)`, `UPDATE "Inner".orders SET total = 0`, `DELETE FROM "Inner".orders`, `TRUNCATE "Inner".orders`, `SELECT add()`,
		`SELECT nextval('"Inner".orders_id_seq')`, `SELECT setval('"Inner".orders_id_seq', 100)`, `SELECT FROM "Inner".orders FOR UPDATE`, `BEGIN; LOCK TABLE "Inner".orders IN EXCLUSIVE MODE`,
		`COPY "Inner".orders FROM PROGRAM 'true'`, `COPY "Inner".orders TO '/tmp/x'`, `COPY "Inner".orders TO PROGRAM 'true'`, `CREATE TABLE public.mine ()`, `CREATE TABLE "Inner".mine ()`, `CREATE SCHEMA mine`,
		`ALTER TABLE "Inner".orders ADD x int`, `DROP TABLE "Inner".orders`, `CREATE ROLE mine`, `ALTER ROLE holdfast_agent SUPERUSER`, `CREATE DATABASE mine`,
		`SELECT rolpassword FROM pg_authid`, `SELECT passwd FROM pg_shadow`, `SELECT pg_read_file('PG_VERSION')`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> CURRENT_USER`,
		`SET ROLE pg_write_all_data`, `DO 'BEGIN DELETE FROM "Inner".orders; END'`, `REINDEX TABLE "Inner".orders`, `SELECT pg_switch_wal()`, `SELECT lo_import('/etc/hostname')`,
		`COMMENT ON TABLE "Inner".orders IS 'mine'`, `CREATE PUBLICATION mine FOR ALL TABLES`, `SELECT pg_create_physical_replication_slot('mine')`,
	} {
		_, _ = agent.Exec(t.Context(), `ROLLBACK`) // of what was begun
		_, err := agent.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if n := pgtest.Value[int](t, admin, `SELECT count(*) FROM "Inner".orders`); n != 2 {
		t.Errorf("%d rows are there", n)
	}
	logins, err := postgres.Logins(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logins {
		if l.Role == postgres.AgentRole {
			t.Error("the front door knows the role")
		}
	}
	for grant, revoke := range map[string]string{
		`GRANT DELETE ON "Inner".orders TO holdfast_agent`:                  `REVOKE DELETE ON "Inner".orders FROM holdfast_agent`,
		`GRANT UPDATE (total) ON "Inner".orders TO holdfast_agent`:          `REVOKE UPDATE (total) ON "Inner".orders FROM holdfast_agent`,
		`GRANT USAGE ON SEQUENCE "Inner".orders_id_seq TO holdfast_agent`:   `REVOKE USAGE ON SEQUENCE "Inner".orders_id_seq FROM holdfast_agent`,
		`GRANT CREATE ON SCHEMA "Inner" TO holdfast_agent`:                  `REVOKE CREATE ON SCHEMA "Inner" FROM holdfast_agent`,
		`GRANT TEMPORARY ON DATABASE ` + db.Name + ` TO holdfast_agent`:     `REVOKE TEMPORARY ON DATABASE ` + db.Name + ` FROM holdfast_agent`,
		`GRANT EXECUTE ON FUNCTION pg_read_file(text) TO holdfast_agent`:    `REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM holdfast_agent`,
		`GRANT pg_read_all_data TO holdfast_agent`:                          `REVOKE pg_read_all_data FROM holdfast_agent`,
		`GRANT SET ON PARAMETER log_statement TO holdfast_agent`:            `REVOKE SET ON PARAMETER log_statement FROM holdfast_agent`,
		`ALTER DEFAULT PRIVILEGES GRANT INSERT ON TABLES TO holdfast_agent`: `ALTER DEFAULT PRIVILEGES REVOKE INSERT ON TABLES FROM holdfast_agent`,
		`ALTER VIEW "Inner".sums OWNER TO holdfast_agent`:                   `ALTER VIEW "Inner".sums OWNER TO CURRENT_USER`,
	} {
		pgtest.Exec(t, admin, grant)
		if err := postgres.PutAgentRole(t.Context(), admin, verifier, db.Name); holdfast.KindOf(err) != holdfast.Precondition {
			t.Errorf("%s: %v", grant, err)
		}
		pgtest.Exec(t, admin, revoke)
	}
	if err := postgres.PutAgentRole(t.Context(), admin, verifier, db.Name); err != nil {
		t.Errorf("when all is revoked: %v", err)
	}

	// Between two queries nobody can log in, and a session goes on.
	if err := postgres.LockAgentRole(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if conn, err := db.Server.ConnectAs(t.Context(), postgres.AgentRole, "secret", db.Name); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the locked role logs in")
	}
	_, _ = agent.Exec(t.Context(), `ROLLBACK`) // of what was begun
	if n := pgtest.Value[int](t, agent, `SELECT count(*) FROM "Inner".orders`); n != 2 {
		t.Errorf("it reads %d", n)
	}
	for range 2 {
		if err := postgres.RemoveAgentRole(t.Context(), admin); err != nil {
			t.Error(err)
		}
	}
	if _, err := agent.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("its session goes on without it")
	}
	if n := pgtest.Value[int](t, admin, `SELECT count(*) FROM pg_roles WHERE rolname = 'holdfast_agent'`); n != 0 {
		t.Error("the role is there still")
	}
}
