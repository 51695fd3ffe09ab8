package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/pgtest"
	"github.com/holdfast/holdfast/internal/postgres"
)

// Every road that an owner could take to the machine, to the administrator or to other servers. Each is a script; its last
// statement must be refused.
var escapes = map[string][]string{
	"run a program":                       {"COPY (SELECT 1) TO PROGRAM 'id'"},
	"read from a program":                 {"CREATE TEMP TABLE t (x text)", "COPY t FROM PROGRAM 'id'"},
	"read a file":                         {"SELECT pg_read_file('/etc/passwd')"},
	"read a file in the data directory":   {"SELECT pg_read_file('pg_hba.conf')"},
	"read a binary file":                  {"SELECT pg_read_binary_file('/etc/passwd')"},
	"list a directory":                    {"SELECT pg_ls_dir('/')"},
	"look at a file":                      {"SELECT pg_stat_file('/etc/passwd')"},
	"copy from a file":                    {"CREATE TEMP TABLE t (x text)", "COPY t FROM '/etc/passwd'"},
	"copy to a file":                      {"COPY (SELECT 1) TO '/tmp/holdfast-escape'"},
	"import a large object":               {"SELECT lo_import('/etc/passwd')"},
	"export a large object":               {"SELECT lo_export(lo_create(0), '/tmp/holdfast-escape')"},
	"load a library":                      {"LOAD '/tmp/x.so'"},
	"make a C function":                   {"CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'"},
	"make an internal function":           {"CREATE FUNCTION f(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'"},
	"trust a language":                    {"CREATE TRUSTED LANGUAGE evil HANDLER plpgsql_call_handler"},
	"install an untrusted extension":      {"CREATE EXTENSION file_fdw"},
	"install dblink":                      {"CREATE EXTENSION dblink"},
	"install adminpack":                   {"CREATE EXTENSION adminpack"},
	"make a foreign data wrapper":         {"CREATE FOREIGN DATA WRAPPER evil"},
	"make a tablespace":                   {"CREATE TABLESPACE evil LOCATION '/tmp'"},
	"change the system":                   {"ALTER SYSTEM SET archive_command = 'id'"},
	"reload":                              {"SELECT pg_reload_conf()"},
	"rotate the log":                      {"SELECT pg_rotate_logfile()"},
	"switch the segment":                  {"SELECT pg_switch_wal()"},
	"start a backup":                      {"SELECT pg_backup_start('x')"},
	"make a slot":                         {"SELECT pg_create_physical_replication_slot('evil')"},
	"make a logical slot":                 {"SELECT pg_create_logical_replication_slot('evil', 'test_decoding')"},
	"drop a slot":                         {"SELECT pg_drop_replication_slot('evil')"},
	"subscribe":                           {"CREATE SUBSCRIPTION evil CONNECTION 'host=/tmp' PUBLICATION p WITH (connect = false)"},
	"become a superuser":                  {"ALTER ROLE CURRENT_USER SUPERUSER"},
	"become a replica":                    {"ALTER ROLE CURRENT_USER REPLICATION"},
	"bypass row security":                 {"ALTER ROLE CURRENT_USER BYPASSRLS"},
	"make a superuser":                    {"CREATE ROLE evil SUPERUSER"},
	"make a replica":                      {"CREATE ROLE evil REPLICATION LOGIN"},
	"make one who bypasses row security":  {"CREATE ROLE evil BYPASSRLS"},
	"become the administrator":            {"SET ROLE holdfast"},
	"log in as the administrator":         {"SET SESSION AUTHORIZATION holdfast"},
	"join the administrator":              {"GRANT holdfast TO CURRENT_USER"},
	"change the administrator's password": {"ALTER ROLE holdfast PASSWORD 'x'"},
	"change the administrator's settings": {"ALTER ROLE holdfast SET search_path = public"},
	"change everybody's settings":         {"ALTER ROLE ALL SET search_path = public"},
	"rename the administrator":            {"ALTER ROLE holdfast RENAME TO evil"},
	"take the administrator's things":     {"REASSIGN OWNED BY holdfast TO CURRENT_USER"},
	"drop the administrator's things":     {"DROP OWNED BY holdfast"},
	"join the program runners":            {"GRANT pg_execute_server_program TO CURRENT_USER"},
	"join the file readers":               {"GRANT pg_read_server_files TO CURRENT_USER"},
	"join the file writers":               {"GRANT pg_write_server_files TO CURRENT_USER"},
	"join those who write everything":     {"GRANT pg_write_all_data TO CURRENT_USER"},
	"join the subscribers":                {"GRANT pg_create_subscription TO CURRENT_USER"},
	"make a subscriber":                   {"CREATE ROLE evil IN ROLE pg_create_subscription"},
	"take a reserved connection":          {"GRANT pg_use_reserved_connections TO CURRENT_USER"},
	"make a program runner":               {"CREATE ROLE evil IN ROLE pg_execute_server_program"},
	"make a program runner in a group":    {"CREATE ROLE evil", "ALTER GROUP pg_execute_server_program ADD USER evil"},
	"pass program running on":             {"CREATE ROLE evil", "GRANT pg_execute_server_program TO evil"},
	"change a server role":                {"ALTER ROLE pg_execute_server_program LOGIN PASSWORD 'x'"},
	"become a server role":                {"SET ROLE pg_execute_server_program"},
	"become the database owner's role":    {"SET ROLE pg_database_owner", "COPY (SELECT 1) TO PROGRAM 'id'"},
	"see verifiers":                       {"SELECT rolpassword FROM pg_authid"},
	"change the catalogue":                {"UPDATE pg_authid SET rolsuper = true"},
	"change the catalogue of functions":   {"UPDATE pg_proc SET prosecdef = true"},
	"allow changes of the catalogue":      {"SET allow_system_table_mods = on"},
	"preload a library":                   {"SET session_preload_libraries = 'evil'"},
	"preload into every session":          {"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = evil', current_database()); END $$"},
	"search for libraries elsewhere":      {"SET dynamic_library_path = '/tmp'"},
	"turn triggers off":                   {"SET session_replication_role = replica"},
	"make an event trigger":               {"CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", "CREATE EVENT TRIGGER evil ON ddl_command_end EXECUTE FUNCTION e()"},
	"give a function to the administrator": {"CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
		"ALTER FUNCTION f() OWNER TO holdfast"},
	"make an operator class": {"CREATE OPERATOR CLASS evil FOR TYPE int4 USING btree AS OPERATOR 1 <"},
	"make a base type":       {"CREATE TYPE evil"},
	"cast without a function": {
		"CREATE CAST (text AS bytea) WITHOUT FUNCTION"},
	"grant a parameter":                 {"GRANT SET ON PARAMETER session_preload_libraries TO CURRENT_USER"},
	"own the maintenance database":      {"ALTER DATABASE postgres OWNER TO CURRENT_USER"},
	"set the maintenance database":      {"ALTER DATABASE postgres SET search_path = public"},
	"drop the maintenance database":     {"DROP DATABASE postgres"},
	"open the template":                 {"ALTER DATABASE template1 ALLOW_CONNECTIONS true"},
	"end the administrator's session":   {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'holdfast' AND pid <> pg_backend_pid()"},
	"limit the administrator":           {"ALTER ROLE holdfast CONNECTION LIMIT 0"},
	"make a checkpoint-free copy":       {"CREATE DATABASE evil TEMPLATE postgres"},
	"put an encoding into the template": {"UPDATE pg_database SET datistemplate = true"},
}

func TestOwnerReachesNeitherMachineNorAdministrator(t *testing.T) {
	db := pgtest.Start(t).Database(t)
	db.Connect(t) // somebody of the administrator's whom one could try to end
	conn := db.ConnectOwner(t)
	for name, script := range escapes {
		t.Run(name, func(t *testing.T) {
			tx, err := conn.Begin(t.Context()) // so that no role stays behind
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background()) //nolint:errcheck // it is the purpose of the transaction to be rolled back
			last := len(script) - 1
			for i, statement := range script {
				target := func() error { _, err := tx.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); return err }
				if needsNoTransaction(statement) {
					target = func() error {
						_ = tx.Rollback(t.Context()) // only opened for the other statements
						_, err := conn.Exec(t.Context(), statement)
						return err
					}
				}
				err := target()
				if i < last && err != nil {
					t.Fatalf("the road is not walked to its end: %s: %v", statement, err)
				}
				if i == last {
					wantRefused(t, statement, err)
				}
			}
		})
	}
}

func needsNoTransaction(statement string) bool {
	for _, prefix := range []string{"ALTER SYSTEM", "CREATE TABLESPACE", "DROP DATABASE", "CREATE DATABASE", "CREATE SUBSCRIPTION"} {
		if strings.HasPrefix(statement, prefix) {
			return true
		}
	}
	return false
}

func wantRefused(t *testing.T, statement string, err error) {
	t.Helper()
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("%s was not refused: %v", statement, err)
	}
	// 42501 insufficient privilege; 42809, 42704, 0A000 and 42P17 where a version does not know the object; 58P01 and 42883 where a library
	// or function is not there for this user; 55000 and 2BP01 where the administrator's things cannot be moved at all.
	for _, code := range []string{"42501", "42704", "0A000", "58P01", "55006", "2BP01", "42939", "55000"} {
		if pg.Code == code {
			return
		}
	}
	t.Errorf("%s failed for another reason: %s %s", statement, pg.Code, pg.Message)
}

func TestOwnerMayDoWhatAnOwnerNeeds(t *testing.T) {
	s := pgtest.Start(t)
	db := s.Database(t)
	conn := db.ConnectOwner(t)
	for _, statement := range []string{
		"CREATE SCHEMA app", "CREATE TABLE public.t (id int PRIMARY KEY, name text)", "CREATE EXTENSION pgcrypto", "CREATE EXTENSION citext", "CREATE EXTENSION pg_trgm",
		"CREATE ROLE owner_made LOGIN PASSWORD 'secret of the role'", "GRANT SELECT ON t TO owner_made", "ALTER ROLE owner_made PASSWORD 'another'",
		"GRANT owner_made TO CURRENT_USER", "SET ROLE owner_made", "RESET ROLE",
		"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'", "CREATE PUBLICATION p FOR TABLE t", "SELECT count(*) FROM pg_stat_activity WHERE query <> ''",
		"ALTER TABLE t ENABLE ROW LEVEL SECURITY", "ANALYZE", "VACUUM", "CREATE DATABASE owner_second", "DROP DATABASE owner_second",
	} {
		pgtest.Exec(t, conn, statement)
	}
	defer pgtest.Exec(t, conn, "DROP OWNED BY owner_made; DROP ROLE owner_made")
	second, err := s.ConnectAs(t.Context(), "owner_made", "another", db.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(context.Background())
	if ended := pgtest.Value[bool](t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'owner_made'"); !ended {
		t.Error("the owner cannot end a session of a role that it made")
	}
	third := db.ConnectOwner(t)
	if ended := pgtest.Value[bool](t, conn, "SELECT pg_terminate_backend($1)", int(third.PgConn().PID())); !ended {
		t.Error("the owner cannot end its own session")
	}
}

// What an owner attaches to its database must not decide what the administrator's queries mean.
func TestSettingsOfADatabaseDoNotReachTheAdministrator(t *testing.T) {
	s := pgtest.Start(t)
	db := s.Database(t)
	owner := db.ConnectOwner(t)
	settings := []string{
		"role = '" + pgtest.Owner + "'", "search_path = evil, pg_catalog", "default_transaction_read_only = on", "statement_timeout = 1", "lock_timeout = 1",
		"local_preload_libraries = 'evil'", "default_transaction_isolation = 'serializable'", "client_encoding = 'LATIN1'", "datestyle = 'German'",
		"standard_conforming_strings = off", "idle_session_timeout = 1", "bytea_output = 'escape'", "extra_float_digits = -10",
	}
	want := map[string]string{
		"role": "none", "search_path": "pg_catalog,pg_temp", "transaction_read_only": "off", "statement_timeout": "0", "local_preload_libraries": "",
		"is_superuser": "on", "transaction_isolation": "read committed", "client_encoding": "UTF8", "standard_conforming_strings": "on", "DateStyle": "ISO, MDY",
	}
	if s.Installation().Major >= 17 {
		settings = append(settings, "transaction_timeout = 1")
		want["transaction_timeout"] = "0"
	}
	for _, setting := range settings {
		pgtest.Exec(t, owner, "ALTER DATABASE "+holdfast.QuoteIdentifier(db.Name)+" SET "+setting)
	}
	conn, err := s.Connect(t.Context(), db.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, want := range want {
		if got := pgtest.Value[string](t, conn, "SELECT current_setting($1)", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWalls(t *testing.T) {
	s := pgtest.Start(t)
	db := s.Database(t)
	for name, c := range map[string]struct{ role, password, database string }{
		"wrong password":                         {pgtest.Owner, "wrong", db.Name},
		"the administrator with an empty secret": {"pg_execute_server_program", "", db.Name},
		"the template":                           {pgtest.Owner, pgtest.OwnerPassword, "template1"},
	} {
		if conn, err := s.ConnectAs(t.Context(), c.role, c.password, c.database); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("%s: was let in", name)
		}
	}
	// Tools create other databases from the maintenance database, and cannot leave anything in it.
	conn, err := s.ConnectAs(t.Context(), pgtest.Owner, pgtest.OwnerPassword, postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, statement := range []string{"CREATE TABLE t ()", "CREATE TEMP TABLE t ()", "CREATE SCHEMA s", "CREATE EXTENSION pgcrypto"} {
		_, err := conn.Exec(t.Context(), statement)
		wantRefused(t, statement, err)
	}
}

func TestReplicationIsForTheAdministratorOnly(t *testing.T) {
	s := pgtest.Start(t)
	conn, err := s.ConnectReplication(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll(); err != nil {
		t.Error(err)
	}
	config, err := pgx.ParseConfig(s.Database(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	config.RuntimeParams["replication"] = "true"
	if other, err := pgx.ConnectConfig(t.Context(), config); err == nil {
		_ = other.Close(t.Context())
		t.Error("the owner opened a replication session")
	}
}

func TestLoginsAreReadWithTheirVerifiers(t *testing.T) {
	s := pgtest.Start(t)
	conn := s.Database(t).Connect(t)
	pgtest.Exec(t, conn, `CREATE ROLE "login ""x" LOGIN PASSWORD 'p' VALID UNTIL '2031-02-03 04:05:06Z' CONNECTION LIMIT 3; CREATE ROLE login_none LOGIN; CREATE ROLE login_group PASSWORD 'p'`)
	defer pgtest.Exec(t, conn, `DROP ROLE "login ""x", login_none, login_group`)
	logins, err := postgres.Logins(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]postgres.Login{}
	for _, l := range logins {
		found[l.Role] = l
	}
	x, ok := found[`login "x`]
	if !ok || x.ConnectionLimit != 3 || x.ValidUntil.UTC().Format("2006-01-02 15:04:05") != "2031-02-03 04:05:06" {
		t.Errorf("read %+v", x)
	}
	if want, err := postgres.VerifierWithSalt("p", x.Verifier.Salt, x.Verifier.Iterations); err != nil || want.String() != x.Verifier.String() {
		t.Errorf("the verifier is not that of the password: %v", err)
	}
	if !found[pgtest.Owner].ValidUntil.IsZero() {
		t.Error("a role that is valid for ever seems to end")
	}
	for _, role := range []string{"login_none", "login_group", postgres.AdminRole} {
		if _, there := found[role]; there {
			t.Errorf("%s cannot log in and is listed", role)
		}
	}
}

// After a crash the same steps run again.
func TestOwnerAndDatabaseCanBeMadeAgain(t *testing.T) {
	s := pgtest.New(t)
	conn, err := s.Connect(t.Context(), postgres.MaintenanceDatabase)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	name, password := `an "odd' \name`, `p'"\ä`
	for range 2 {
		verifier, err := postgres.NewVerifier(password)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Harden(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		if err := postgres.PutOwner(t.Context(), conn, name, verifier); err != nil {
			t.Fatal(err)
		}
		if err := postgres.PutDatabase(t.Context(), conn, name, name); err != nil {
			t.Fatal(err)
		}
		owner, err := s.ConnectAs(t.Context(), name, password, name)
		if err != nil {
			t.Fatal(err)
		}
		_ = owner.Close(t.Context())
	}
	changed, err := postgres.NewVerifier("changed")
	if err != nil {
		t.Fatal(err)
	}
	if err := postgres.SetVerifier(t.Context(), conn, name, changed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ConnectAs(t.Context(), name, password, name); err == nil {
		t.Error("the old password still opens")
	}
	if err := postgres.SetVerifier(t.Context(), conn, "nobody", changed); err == nil || strings.Contains(err.Error(), "SCRAM") {
		t.Errorf("the error is %v", err)
	}
}
