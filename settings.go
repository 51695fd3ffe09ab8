package holdfast

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds and defaults of the settings that are ours rather than PostgreSQL's.
const (
	DefaultIdleTimeout     = 300 * time.Second
	MinIdleTimeout         = 60 * time.Second
	MaxIdleTimeout         = 7 * 24 * time.Hour
	NeverSleep             = time.Duration(-1) // as an idle timeout
	DefaultConnectionLimit = 100               // client sessions per branch
	MaxConnectionLimit     = 1000
)

// Settings is what a user may choose for a branch.
type Settings struct {
	// IdleTimeout is how long a branch stays awake without a client byte, a running query or an open transaction.
	IdleTimeout time.Duration
	// ConnectionLimit is how many client sessions the front door admits at once.
	ConnectionLimit int
	// Window is how far back the branch can be restored; zero is DefaultWindow.
	Window time.Duration
	// History says that a preview keeps its every moment, as development and production always do.
	History bool `json:",omitempty"`
	// Parameters are PostgreSQL settings that differ from the profile of the branch's environment.
	Parameters map[string]string
}

// DefaultSettings are those of a new branch.
func DefaultSettings() Settings {
	return Settings{IdleTimeout: DefaultIdleTimeout, ConnectionLimit: DefaultConnectionLimit}
}

// HistoryWindow is how far back the branch can be restored.
func (s Settings) HistoryWindow() time.Duration {
	if s.Window == 0 {
		return DefaultWindow
	}
	return s.Window
}

// Profile is the PostgreSQL configuration that an environment starts from. Development is tuned for speed, everything else
// for durability. A preview runs as production does, so that what holds there holds in production.
func Profile(e Environment) map[string]string {
	p := map[string]string{
		"fsync":                               "on",
		"full_page_writes":                    "on",
		"synchronous_commit":                  "on",
		"shared_buffers":                      "128MB",
		"max_wal_size":                        "1GB",
		"checkpoint_timeout":                  "5min",
		"track_io_timing":                     "on",
		"idle_in_transaction_session_timeout": "0",
		"statement_timeout":                   "0",
		"log_min_duration_statement":          "-1",
		"max_connections":                     strconv.Itoa(DefaultConnectionLimit + reservedConnections),
	}
	if e == Development {
		p["synchronous_commit"] = "off"
		p["shared_buffers"] = "32MB"
		p["max_wal_size"] = "256MB"
	}
	return p
}

// reservedConnections are those of a server that clients cannot take: the control plane's own and WAL senders.
const reservedConnections = 10

// Effective is the branch's whole configuration: its profile, then its own parameters over it.
func (b Branch) Effective() map[string]string {
	p := Profile(b.Environment)
	p["max_connections"] = strconv.Itoa(b.Settings.ConnectionLimit + reservedConnections)
	maps.Copy(p, b.Settings.Parameters)
	return p
}

// userParameters are the PostgreSQL settings that a user may change per branch. What is not listed is either decided by the
// product (paths, addresses, authentication, WAL shipping) or can be set per session, role or database with SQL.
var userParameters = []string{
	"synchronous_commit", "full_page_writes", "fsync",
	"shared_buffers", "work_mem", "maintenance_work_mem", "effective_cache_size", "temp_buffers", "max_wal_size", "min_wal_size",
	"checkpoint_timeout", "checkpoint_completion_target", "wal_compression",
	"autovacuum", "autovacuum_naptime", "autovacuum_vacuum_scale_factor", "autovacuum_analyze_scale_factor", "autovacuum_vacuum_cost_limit",
	"default_statistics_target", "random_page_cost", "seq_page_cost", "effective_io_concurrency", "jit",
	"max_parallel_workers", "max_parallel_workers_per_gather", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction",
	"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "deadlock_timeout",
	"log_min_duration_statement", "log_statement", "log_lock_waits", "track_io_timing", "track_functions",
	"timezone", "datestyle", "default_text_search_config",
}

// UserParameters lists the PostgreSQL settings that a user may change, sorted.
func UserParameters() []string { return slices.Sorted(slices.Values(userParameters)) }

// Validate refuses unknown and dangerous settings for a branch of environment e, with the reason. PostgreSQL itself checks the
// values of parameters (`postgres -C`); that is not done here.
func (s Settings) Validate(e Environment) error {
	if s.IdleTimeout != NeverSleep && (s.IdleTimeout < MinIdleTimeout || s.IdleTimeout > MaxIdleTimeout) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("an idle time of %s is out of bounds", s.IdleTimeout), Hint: "choose 60 s to 7 days, or -1 for a branch that never sleeps"}
	}
	if s.ConnectionLimit < 1 || s.ConnectionLimit > MaxConnectionLimit {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("a connection limit of %d is out of bounds", s.ConnectionLimit), Hint: fmt.Sprintf("choose 1 to %d", MaxConnectionLimit)}
	}
	if err := CheckWindow(s.HistoryWindow()); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.Parameters)) {
		if err := checkParameter(e, name, s.Parameters[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkParameter(e Environment, name, value string) error {
	if !slices.Contains(userParameters, name) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("%q cannot be set on a branch", name),
			Hint: "either Holdfast decides it, or it can be set with SQL (ALTER ROLE, ALTER DATABASE); `holdfast branch settings --list` shows what can be set here"}
	}
	if strings.ContainsAny(value, "\x00\n\r") || value == "" {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("the value of %q is empty or has a line break", name)}
	}
	if name == "default_text_search_config" && !isTextSearchConfig(value) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("there is no text search configuration %q", value),
			Hint: "choose one of PostgreSQL's own, such as english or simple; one that was made in the database is named with its schema, as public.mine"}
	}
	durable := map[string]string{
		"fsync":              "a power cut would corrupt the database",
		"full_page_writes":   "a power cut could tear pages and corrupt the database",
		"synchronous_commit": "a crash would lose transactions that clients were told are committed",
	}
	if reason, ok := durable[name]; ok && e != Development && !isOn(name, value) {
		return &Error{Kind: Unsafe, Message: fmt.Sprintf("%s = %s is refused on %s: %s", name, value, e, reason), Hint: "it can be set on development"}
	}
	return nil
}

// textSearchConfigs are those that every database has; PostgreSQL 18 adds Estonian.
var textSearchConfigs = []string{"simple", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "estonian", "finnish", "french", "german", "greek", "hindi",
	"hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish"}

var ownTextSearchConfig = regexp.MustCompile(`^[a-z_][a-z0-9_$]*\.[a-z_][a-z0-9_$]*$`)

// isTextSearchConfig says whether the value can name a text search configuration. PostgreSQL itself takes any text at the server's start, and then every
// search fails; whether a user's own is there only the database knows.
func isTextSearchConfig(value string) bool {
	if name, ok := strings.CutPrefix(value, "pg_catalog."); ok {
		return slices.Contains(textSearchConfigs, name)
	}
	return slices.Contains(textSearchConfigs, value) || ownTextSearchConfig.MatchString(value)
}

// isOn says whether a boolean parameter, or synchronous_commit, has a value under which commits reach the disk. PostgreSQL
// accepts any unambiguous prefix of on, true, yes and 1, in any case.
func isOn(name, value string) bool {
	v := strings.ToLower(strings.TrimSpace(value))
	if name == "synchronous_commit" && slices.Contains([]string{"local", "remote_write", "remote_apply"}, v) {
		return true
	}
	return v == "1" || v == "on" || v != "" && (strings.HasPrefix("true", v) || strings.HasPrefix("yes", v))
}
