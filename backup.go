package holdfast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// BackupID identifies a backup for good, wherever its bytes are kept.
type BackupID string

// BackupState is where a backup stands.
type BackupState string

// The states of a backup. Only a completed one can be restored.
const (
	BackupInProgress BackupState = "in_progress"
	BackupCompleted  BackupState = "completed"
	BackupFailed     BackupState = "failed"
)

// BackupFormat is how a backup's bytes are arranged.
type BackupFormat string

// The formats of a backup. The first three are pg_dump's own.
const (
	PlainFormat     BackupFormat = "plain"     // SQL
	CustomFormat    BackupFormat = "custom"    // pg_dump's archive
	DirectoryFormat BackupFormat = "directory" // pg_dump's directory, kept as one tar file
	JSONFormat      BackupFormat = "json"      // docs/formats/backup-json.md
	CSVFormat       BackupFormat = "csv"       // a file for each table, in a zip file: docs/formats/backup-csv.md
)

// BackupFormats lists the formats.
func BackupFormats() []BackupFormat {
	return []BackupFormat{PlainFormat, CustomFormat, DirectoryFormat, JSONFormat, CSVFormat}
}

// Compression is how a backup's bytes are packed: a method, and after a colon a level where the method has levels.
type Compression string

// The methods of compression. An empty one means gzip, which every machine can unpack.
const (
	NoCompression Compression = "none"
	Gzip          Compression = "gzip"
	LZ4           Compression = "lz4"
	Zstd          Compression = "zstd"
)

var compression = regexp.MustCompile(`^(none|gzip(:[1-9])?|lz4(:([1-9]|1[0-2]))?|zstd(:([1-9]|1[0-9]|2[0-2]))?)?$`)

// Split returns the method and the level: 0 where none was given.
func (c Compression) Split() (method Compression, level int) {
	name, digits, _ := strings.Cut(string(c), ":")
	for _, d := range digits {
		level = level*10 + int(d-'0')
	}
	if name == "" {
		return Gzip, level
	}
	return Compression(name), level
}

// BackupOptions say what goes into a backup. The zero value is a whole database in pg_dump's plain format, without owners and rights.
type BackupOptions struct {
	Format      BackupFormat `json:"format"`
	KeepOwners  bool         `json:"keep_owners,omitempty"` // the reverse of --no-owner
	KeepRights  bool         `json:"keep_rights,omitempty"` // the reverse of --no-acl
	DataOnly    bool         `json:"data_only,omitempty"`
	SchemaOnly  bool         `json:"schema_only,omitempty"`
	Tables      []string     `json:"tables,omitempty"` // empty: all; see TablePattern
	Jobs        int          `json:"jobs,omitempty"`   // sessions that read at once; only the directory format can use more than one
	Compression Compression  `json:"compression,omitempty"`
}

// Validate refuses what cannot be dumped, with the reason.
func (o BackupOptions) Validate() error {
	invalid := func(message, hint string) error {
		return &Error{Kind: Invalid, Message: message, Hint: hint}
	}
	method, _ := o.Compression.Split()
	switch {
	case !slices.Contains(BackupFormats(), o.Format):
		return invalid(fmt.Sprintf("%q is not a format of backups", o.Format), "choose plain, custom, directory, json or csv")
	case o.DataOnly && o.SchemaOnly:
		return invalid("data only and schema only exclude each other", "leave both out to get the schema and the data")
	case o.Jobs < 0 || o.Jobs > 64:
		return invalid(fmt.Sprintf("%d jobs are out of bounds", o.Jobs), "choose 1 to 64")
	case o.Jobs > 1 && o.Format != DirectoryFormat:
		return invalid(fmt.Sprintf("the %s format is written by one job", o.Format), "choose the directory format for several jobs")
	case !compression.MatchString(string(o.Compression)):
		return invalid(fmt.Sprintf("%q is not a compression", o.Compression), "choose none, gzip, lz4 or zstd, with a level if need be: gzip:9, zstd:10")
	case o.Format == CSVFormat && method != NoCompression && method != Gzip:
		return invalid(fmt.Sprintf("a zip file cannot be packed with %s", method), "choose none or gzip")
	case method == LZ4 && (o.Format == PlainFormat || o.Format == JSONFormat):
		return invalid(fmt.Sprintf("the %s format cannot be packed with lz4", o.Format), "choose none, gzip or zstd")
	}
	for _, pattern := range o.Tables {
		if _, err := ParseTablePattern(pattern); err != nil {
			return err
		}
	}
	return nil
}

// TableRecords says how many rows of a table a backup holds.
type TableRecords struct {
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	Records  int64  `json:"records"`
	Checksum string `json:"checksum,omitempty"` // of the rows in any order; empty where it was not taken
}

// BackupCopy is a place where the bytes of a backup are.
type BackupCopy struct {
	Destination string    `json:"destination"`
	ReadBackAt  time.Time `json:"read_back_at"`          // when the whole copy was read and its SHA-256 was right
	LockedUntil time.Time `json:"locked_until,omitzero"` // until then the place destroys it for nobody
}

// Backup describes a portable backup. Its JSON is the manifest that lies beside the bytes: docs/formats/backup-manifest.md.
type Backup struct {
	Version int           `json:"version"` // of the manifest
	ID      BackupID      `json:"id"`
	Name    string        `json:"name"`
	Project string        `json:"project"`
	Branch  string        `json:"branch"`
	State   BackupState   `json:"state"`
	Options BackupOptions `json:"options"`
	Reason  string        `json:"reason,omitempty"` // why it was made: asked for, a schedule, before a sync
	By      string        `json:"by,omitempty"`     // who asked

	Database      string    `json:"database,omitempty"`
	ServerVersion string    `json:"server_version,omitempty"`
	Major         int       `json:"major,omitempty"` // of the server
	Tool          string    `json:"tool,omitempty"`  // what wrote it, with its version
	StartedAt     time.Time `json:"started_at"`
	SnapshotAt    time.Time `json:"snapshot_at,omitzero"` // the moment that it shows
	EndedAt       time.Time `json:"ended_at,omitzero"`

	Tables       []TableRecords `json:"tables,omitempty"` // tables that hold rows: partitions, not the partitioned table
	LargeObjects int64          `json:"large_objects,omitempty"`
	Object       string         `json:"object,omitempty"` // the name of the bytes, beside the manifest
	Size         int64          `json:"size,omitempty"`
	SHA256       string         `json:"sha256,omitempty"`
	Copies       []BackupCopy   `json:"copies,omitempty"`

	Pinned         bool      `json:"pinned,omitempty"`           // never removed by a rule
	HeldUntilProof bool      `json:"held_until_proof,omitempty"` // kept until a person marks it verified
	VerifiedAt     time.Time `json:"verified_at,omitzero"`       // when a restore of it was last proved
	Report         string    `json:"report,omitempty"`           // the name of that proof, beside the manifest

	Failure     string   `json:"failure,omitempty"`      // why it failed, for a person
	FailureHint string   `json:"failure_hint,omitempty"` // what to do about it
	ToolOutput  []string `json:"tool_output,omitempty"`  // the tool's last lines
}

// Records is the number of rows in all tables.
func (b Backup) Records() int64 {
	var n int64
	for _, t := range b.Tables {
		n += t.Records
	}
	return n
}

// BackupTimeLayout is how a backup's name says when it began, in UTC.
const BackupTimeLayout = "20060102_150405"

var backupName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,98}[a-z0-9]$`)

// BackupName is the name of a backup of a branch: backup_prod_20261120_140311.
func BackupName(branch string, at time.Time) string {
	return "backup_" + shortBranch(branch) + "_" + at.UTC().Format(BackupTimeLayout)
}

// SafetyBackupName is the name of a backup that is made before an operation changes a branch: prod_backup_before_sync_20261120_140311.
func SafetyBackupName(branch, operation string, at time.Time) string {
	return shortBranch(branch) + "_backup_before_" + operation + "_" + at.UTC().Format(BackupTimeLayout)
}

func shortBranch(branch string) string {
	switch branch {
	case ProductionName:
		return "prod"
	case DevelopmentName:
		return "dev"
	}
	return branch
}

// CheckBackupName says whether name can be a backup's.
func CheckBackupName(name string) error {
	if !backupName.MatchString(name) {
		return &Error{Kind: Invalid, Message: fmt.Sprintf("%q cannot be a backup's name", name),
			Hint: "use 2 to 100 lower-case letters, digits, dashes and underscores, beginning with a letter"}
	}
	return nil
}

// LockedAt is the place that keeps a copy locked the longest, and until when; no place has no name.
func (b Backup) LockedAt(now time.Time) (destination string, until time.Time) {
	for _, c := range b.Copies {
		if c.LockedUntil.After(now) && c.LockedUntil.After(until) {
			destination, until = c.Destination, c.LockedUntil
		}
	}
	return destination, until
}

// At says whether a destination has a whole copy.
func (b Backup) At(destination string) bool {
	return slices.ContainsFunc(b.Copies, func(c BackupCopy) bool { return c.Destination == destination })
}

// Columns that stand first in a file of rows that an import rejected: the line and why. An import leaves them out, so that such a file can be
// mended and imported as it is.
const (
	RejectedLine   = "holdfast_line"
	RejectedReason = "holdfast_reason"
)
