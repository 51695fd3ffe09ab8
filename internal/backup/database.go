package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast/holdfast"
)

// Database says how to reach one database, for sessions of our own and for PostgreSQL's programs. Both must lead to the same
// database with the same rights.
type Database struct {
	Name string // what to call it in messages: shop/production. No secret is in it

	// Connect opens a session; the caller closes it.
	Connect func(ctx context.Context) (*pgx.Conn, error)

	// Environment are the variables for PostgreSQL's programs: PGHOST, PGDATABASE, PGPASSWORD and their like. A password goes nowhere else.
	Environment []string

	// Socket is the directory of the server's socket when it is reached by one: then it is a server of this machine.
	Socket string
}

// parameterVariables are the connection parameters that a URL may have, with the variables of PostgreSQL's programs. Parameters that
// name files with secrets, and services, are not among them: whoever names a database must not read our disk by it.
var parameterVariables = map[string]string{
	"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE",
	"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslnegotiation": "PGSSLNEGOTIATION", "channel_binding": "PGCHANNELBINDING",
	"connect_timeout": "PGCONNECT_TIMEOUT", "options": "PGOPTIONS", "target_session_attrs": "PGTARGETSESSIONATTRS",
	"application_name": "PGAPPNAME",
}

// programsOnly are parameters that PostgreSQL's programs know and pgx does not.
var programsOnly = map[string]string{"gssencmode": "PGGSSENCMODE", "keepalives": "", "keepalives_idle": "", "keepalives_interval": "", "keepalives_count": ""}

// ParseDatabase reads postgres://user:password@host:port/database?sslmode=... Nothing is taken from the environment or from files. Its
// errors never repeat the password.
func ParseDatabase(raw string) (Database, error) {
	invalid := func(why string) (Database, error) {
		return Database{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "the address of the database cannot be used: " + why, Hint: "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=require"}
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return invalid("it is not a URL") // the parser's message repeats it
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return invalid("it does not begin with postgres://")
	}
	parameters := map[string]string{"host": u.Hostname(), "port": u.Port(), "dbname": strings.TrimPrefix(u.Path, "/"), "user": u.User.Username()}
	parameters["password"], _ = u.User.Password()
	for name, values := range u.Query() {
		_, known := parameterVariables[name]
		_, ignored := programsOnly[name]
		if !known && !ignored {
			return invalid(fmt.Sprintf("the parameter %q is not supported", name))
		}
		parameters[name] = values[len(values)-1]
	}
	if strings.Contains(parameters["host"], ",") {
		return invalid("it names several servers")
	}
	for _, needed := range []string{"host", "user", "dbname"} {
		if parameters[needed] == "" {
			return invalid("it has no " + map[string]string{"host": "host", "user": "user", "dbname": "database"}[needed])
		}
	}
	for _, value := range parameters {
		if strings.ContainsRune(value, 0) {
			return invalid("it holds a zero byte")
		}
	}
	return newDatabase(parameters)
}

func newDatabase(parameters map[string]string) (Database, error) {
	for name, value := range map[string]string{"port": "5432", "sslmode": "prefer", "connect_timeout": "15", "application_name": "holdfast", "target_session_attrs": "any"} {
		if parameters[name] == "" {
			parameters[name] = value
		}
	}
	var dsn strings.Builder
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if _, known := parameterVariables[name]; known && (parameters[name] != "" || name == "password") {
			fmt.Fprintf(&dsn, "%s='%s' ", name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(parameters[name]))
		}
	}
	config, err := pgx.ParseConfig(dsn.String() + "passfile='/nonexistent'")
	if err != nil {
		return Database{}, &holdfast.Error{Kind: holdfast.Invalid, Message: "the address of the database cannot be used", Hint: "check its port, its sslmode and its other parameters", Cause: withoutSecret(err, parameters["password"])}
	}
	db := Database{Name: net.JoinHostPort(parameters["host"], parameters["port"]) + "/" + parameters["dbname"]}
	if strings.HasPrefix(parameters["host"], "/") || strings.HasPrefix(parameters["host"], "@") {
		db.Name, db.Socket = parameters["dbname"], parameters["host"]
	}
	db.Connect = func(ctx context.Context) (*pgx.Conn, error) {
		conn, err := pgx.ConnectConfig(ctx, config.Copy())
		if err != nil {
			return nil, unreachable(db.Name, err)
		}
		return conn, nil
	}
	for name, value := range parameters {
		variable := parameterVariables[name]
		if variable == "" {
			variable = programsOnly[name]
		}
		if variable != "" && value != "" {
			db.Environment = append(db.Environment, variable+"="+value)
		}
	}
	db.Environment = append(db.Environment, "PGPASSFILE=/nonexistent")
	slices.Sort(db.Environment)
	return db, nil
}

// withoutSecret is err, or where its text holds the secret, an error with that text without it.
func withoutSecret(err error, secret string) error {
	if err == nil || secret == "" || !strings.Contains(err.Error(), secret) {
		return err
	}
	return &holdfast.Error{Kind: holdfast.KindOf(err), Message: strings.ReplaceAll(err.Error(), secret, "********"), Hint: holdfast.HintOf(err)}
}

// unreachable says why a session cannot be had.
func unreachable(name string, err error) error {
	e := &holdfast.Error{Kind: holdfast.Unavailable, Message: "cannot reach the database " + name, Cause: err}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "28P01", "28000":
			e.Kind, e.Message, e.Hint = holdfast.Unauthenticated, "the database "+name+" does not let us in: "+pg.Message, "check user and password"
		case "3D000":
			e.Kind, e.Message = holdfast.NotFound, "there is no database "+name
		case "53300":
			e.Kind, e.Message = holdfast.TooMany, "the server of "+name+" has no connection left"
		}
	}
	return e
}

// password is the value of PGPASSWORD among the variables.
func (d Database) password() string {
	for _, v := range d.Environment {
		if secret, found := strings.CutPrefix(v, "PGPASSWORD="); found {
			return secret
		}
	}
	return ""
}

// sessionSettings make every value be written and read the same way whatever server, database and role are set to; they are those of
// pg_dump and a few more. With row_security off a table whose policies would hide rows is an error and never a silent loss.
var sessionSettings = map[string]string{
	"search_path": "", "client_encoding": "UTF8", "datestyle": "ISO, YMD", "intervalstyle": "iso_8601", "timezone": "UTC", "bytea_output": "hex",
	"extra_float_digits": "1", "xmloption": "content", "lc_monetary": "C", "row_security": "off", "synchronize_seqscans": "off",
	"standard_conforming_strings": "on", "array_nulls": "on", "transform_null_equals": "off", "quote_all_identifiers": "off", "default_transaction_read_only": "off",
	"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "transaction_timeout": "0",
	"client_min_messages": "warning", "check_function_bodies": "off", "default_tablespace": "", "default_transaction_isolation": "read committed",
}

// session opens a session with the settings above. Closing it rolls back what it did not commit.
func (d Database) session(ctx context.Context) (*pgx.Conn, error) {
	conn, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, conn); err != nil {
		closeConn(conn)
		return nil, fmt.Errorf("prepare a session of %s: %w", d.Name, err)
	}
	return conn, nil
}

// prepare sets the session's settings; those that the server's version does not know are left out.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	names := slices.Sorted(maps.Keys(sessionSettings))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = sessionSettings[name]
	}
	_, err := conn.Exec(ctx, `SELECT pg_catalog.set_config(s.name, given.value, false)
		FROM unnest($1::text[], $2::text[]) AS given(name, value) JOIN pg_catalog.pg_settings s ON lower(s.name) = given.name`, names, values)
	return err
}

// closeConn closes a session without waiting for a server that does not answer.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // what was not committed is gone either way
}

// Server is what a server says of itself.
type Server struct {
	Version string // as it says it: 15.8
	Major   int
}

func serverOf(conn *pgx.Conn) Server {
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	digits := version
	if i := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = version[:i]
	}
	major, err := strconv.Atoi(digits)
	if err != nil {
		major = 0 // no server says that; every program is then old enough to be refused or new enough to try
	}
	return Server{Version: version, Major: major}
}
