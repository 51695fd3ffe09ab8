package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// adminSettings hold in every session of AdminRole. A database's owner can attach settings to it (ALTER DATABASE ... SET)
// that would otherwise decide which functions our superuser's queries find, which role it has, and how long it may take.
// What a client asks for at its start wins over those. Verifiers pass through such sessions, so nothing of them is logged or kept as a statistic.
var adminSettings = []struct{ name, value string }{
	{"search_path", "pg_catalog,pg_temp"},
	{"role", "none"},
	{"local_preload_libraries", ""},
	{"default_transaction_read_only", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_deferrable", "off"},
	{"default_tablespace", ""},
	{"temp_tablespaces", ""},
	{"statement_timeout", "0"},
	{"lock_timeout", "0"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"standard_conforming_strings", "on"},
	{"quote_all_identifiers", "off"},
	{"transform_null_equals", "off"},
	{"client_encoding", "UTF8"},
	{"datestyle", "ISO"},
	{"intervalstyle", "postgres"},
	{"timezone", "UTC"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"client_min_messages", "notice"},
	{"log_statement", "none"},
	{"log_min_duration_statement", "-1"},
	{"log_min_error_statement", "panic"},
	{"pg_stat_statements.track", "none"},
	{"application_name", "holdfast"},
}

// newerAdminSettings are those that a server knows since a version; an older one refuses a session that names them.
var newerAdminSettings = []struct {
	since       int
	name, value string
}{
	{17, "transaction_timeout", "0"},
}

// adminParameters are the settings of a session of AdminRole on this server, by name.
func (s *Server) adminParameters() map[string]string {
	settings := map[string]string{}
	for _, setting := range adminSettings {
		settings[setting.name] = setting.value
	}
	for _, setting := range newerAdminSettings {
		if s.config.Installation.Major >= setting.since {
			settings[setting.name] = setting.value
		}
	}
	if s.Elsewhere() { // where we may be no superuser, and the log is not ours
		maps.DeleteFunc(settings, func(name, _ string) bool { return strings.HasPrefix(name, "log_") || strings.Contains(name, ".") })
	}
	return settings
}

// Connect opens a session of AdminRole in a database of the running server. The caller closes it.
func (s *Server) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return s.connect(ctx, database, "holdfast")
}

// ObserverName is the application name of sessions of AdminRole that only look, and are no use of the server.
const ObserverName = "holdfast observer"

// Observe opens a session of AdminRole by ObserverName in the maintenance database of the running server. The caller closes it.
func (s *Server) Observe(ctx context.Context) (*pgx.Conn, error) {
	return s.connect(ctx, MaintenanceDatabase, ObserverName)
}

func (s *Server) connect(ctx context.Context, database, name string) (*pgx.Conn, error) {
	config, err := s.sessionConfig(AdminRole, "", database)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams = s.adminParameters()
	config.RuntimeParams["application_name"] = name
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to database %q as the administrator: %w", database, err)
	}
	return conn, nil
}

// Position asks a running server how far its WAL goes, and on which timeline.
func (s *Server) Position(ctx context.Context) (timeline uint32, at holdfast.LSN, err error) {
	conn, err := s.Connect(ctx, MaintenanceDatabase)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var text string
	var line int64
	err = conn.QueryRow(ctx, `SELECT l::text, ('x' || left(pg_walfile_name(l), 8))::bit(32)::bigint FROM pg_current_wal_insert_lsn() l`).Scan(&text, &line)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the server's WAL position: %w", err)
	}
	at, err = holdfast.ParseLSN(text)
	return uint32(line), at, err
}

// ConnectAs opens a session of another role, which proves its password as every client does. Statements that can run a
// user's code (triggers, functions, casts) belong into such a session, never into one of the administrator: code that
// runs there can take the administrator's rights.
func (s *Server) ConnectAs(ctx context.Context, role, password, database string) (*pgx.Conn, error) {
	config, err := s.sessionConfig(role, password, database)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to database %q as %q: %w", database, role, err)
	}
	return conn, nil
}

// ConnectReplication opens a session of AdminRole that speaks the physical replication protocol.
func (s *Server) ConnectReplication(ctx context.Context) (*pgconn.PgConn, error) {
	config, err := s.sessionConfig(AdminRole, "", MaintenanceDatabase)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["replication"] = "true"
	config.RuntimeParams["application_name"] = "holdfast"
	conn, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, fmt.Errorf("connect for replication: %w", err)
	}
	return conn, nil
}

// sessionConfig builds a configuration from nothing but its arguments: the PG variables and files that pgx reads for
// its defaults are overruled.
func (s *Server) sessionConfig(role, password, database string) (*pgx.ConnConfig, error) {
	if s.Elsewhere() {
		config := s.config.Elsewhere.Copy()
		config.Database, config.RuntimeParams = database, map[string]string{}
		if role != AdminRole {
			config.User, config.Password = role, password
		}
		return config, nil
	}
	config, err := pgx.ParseConfig("host=/ port=" + strconv.Itoa(port) + " user=x dbname=x sslmode=disable passfile=/dev/null target_session_attrs=any")
	if err != nil {
		return nil, fmt.Errorf("prepare a connection: %w", err)
	}
	config.Host, config.Port, config.User, config.Password, config.Database = s.socketDir, port, role, password, database
	config.RuntimeParams = map[string]string{}
	config.Fallbacks, config.TLSConfig = nil, nil
	return config, nil
}

// ClientEnvironment returns the variables with which PostgreSQL's own client programs (pg_dump, psql) enter the server as
// AdminRole, with the same protection against a database's settings as Connect.
func (s *Server) ClientEnvironment(database string) []string {
	var options []string
	escape := strings.NewReplacer(`\`, `\\`, ` `, `\ `)
	settings := s.adminParameters()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if name != "application_name" && name != "client_encoding" {
			options = append(options, "-c", name+"="+escape.Replace(settings[name]))
		}
	}
	return []string{"PGHOST=" + s.socketDir, "PGPORT=" + strconv.Itoa(port), "PGUSER=" + AdminRole, "PGDATABASE=" + database, "PGAPPNAME=holdfast",
		"PGSSLMODE=disable", "PGPASSFILE=/nonexistent", "PGOPTIONS=" + strings.Join(options, " ")}
}

// RoleEnvironment is ClientEnvironment for another role, with its password and with nothing of the administrator's protection.
func (s *Server) RoleEnvironment(role, password, database string) []string {
	return []string{"PGHOST=" + s.socketDir, "PGPORT=" + strconv.Itoa(port), "PGUSER=" + role, "PGPASSWORD=" + password, "PGDATABASE=" + database, "PGAPPNAME=holdfast",
		"PGSSLMODE=disable", "PGPASSFILE=/nonexistent"}
}

// Explain turns an error of the server into one for a person, where its SQLSTATE says enough; other errors stay as they are.
func Explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	kinds := map[string]holdfast.Kind{
		"42710": holdfast.Conflict, "42P04": holdfast.Conflict, "42P06": holdfast.Conflict, "42P07": holdfast.Conflict,
		"3D000": holdfast.NotFound, "42704": holdfast.NotFound, "42P01": holdfast.NotFound,
		"42501": holdfast.NotAllowed, "53300": holdfast.TooMany, "53100": holdfast.Precondition, "55006": holdfast.Busy,
		"57P01": holdfast.Unavailable, "57P02": holdfast.Unavailable, "57P03": holdfast.Unavailable, "57014": holdfast.Canceled,
	}
	kind, known := kinds[pg.Code]
	if !known {
		return err
	}
	return &holdfast.Error{Kind: kind, Message: pg.Message, Hint: pg.Hint, Cause: err}
}
