package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast/holdfast"
)

// Backup is a portable backup of a branch.
type Backup struct {
	ID            string         `json:"id"`
	Name          string         `json:"name" example:"backup_prod_20261120_140311"`
	Project       string         `json:"project" example:"shop"`
	Branch        string         `json:"branch" example:"production"`
	Status        string         `json:"status" enum:"in_progress,completed,failed"`
	Format        string         `json:"format" enum:"plain,custom,directory,json,csv"`
	Compression   string         `json:"compression,omitempty"`
	DataOnly      bool           `json:"data_only,omitempty"`
	SchemaOnly    bool           `json:"schema_only,omitempty"`
	Tables        []string       `json:"tables,omitempty" doc:"The tables that were chosen; left out when all were."`
	Counts        []TableRecords `json:"record_counts,omitempty" doc:"How many rows of each table it holds."`
	Records       int64          `json:"records" doc:"Rows in all tables."`
	Size          int64          `json:"size" doc:"Bytes, as they are kept."`
	SHA256        string         `json:"sha256,omitempty"`
	ServerVersion string         `json:"server_version,omitempty"`
	Tool          string         `json:"tool,omitempty" doc:"What wrote it, with its version."`
	CreatedAt     time.Time      `json:"created_at"`
	SnapshotAt    time.Time      `json:"snapshot_at,omitzero" doc:"The moment that it shows."`
	CompletedAt   time.Time      `json:"completed_at,omitzero"`
	CreatedBy     string         `json:"created_by,omitempty"`
	Reason        string         `json:"reason,omitempty"`
	Destinations  []string       `json:"destinations,omitempty" doc:"Where whole copies are."`
	Pinned        bool           `json:"pinned,omitempty"`
	Held          bool           `json:"held,omitempty" doc:"Kept until a person marks it verified."`
	VerifiedAt    time.Time      `json:"verified_at,omitzero" doc:"When a restore of it was last proved."`
	Error         string         `json:"error,omitempty" doc:"Why it failed."`
	ErrorHint     string         `json:"error_hint,omitempty"`
	ToolOutput    []string       `json:"tool_output,omitempty" doc:"The last lines of the program that failed."`
	Job           string         `json:"job,omitempty" doc:"The job that makes it or made it."`
}

// TableRecords is a table and how many rows it has.
type TableRecords struct {
	Schema  string `json:"schema" example:"public"`
	Table   string `json:"table" example:"orders"`
	Records int64  `json:"records"`
}

// NewBackup asks for a backup.
type NewBackup struct {
	Project     string   `json:"project" example:"shop"`
	Branch      string   `json:"branch" example:"development"`
	Format      string   `json:"format,omitempty" enum:"plain,custom,directory,json,csv" doc:"json when left out."`
	Tables      []string `json:"tables,omitempty" doc:"Patterns such as orders, sales.* or \"Odd Name\"; all when left out."`
	TableSet    string   `json:"table_set,omitempty" doc:"A named set of tables."`
	Name        string   `json:"name,omitempty" doc:"Made from the branch and the time when left out."`
	KeepOwners  bool     `json:"keep_owners,omitempty"`
	KeepRights  bool     `json:"keep_rights,omitempty"`
	DataOnly    bool     `json:"data_only,omitempty"`
	SchemaOnly  bool     `json:"schema_only,omitempty"`
	Jobs        int      `json:"jobs,omitempty" minimum:"0" maximum:"64" doc:"Sessions that read at once; for the directory format."`
	Compression string   `json:"compression,omitempty" example:"zstd:10"`
	Pinned      bool     `json:"pinned,omitempty"`
}

// BackupChange says what to change of a backup. What is left out stays as it is.
type BackupChange struct {
	Pinned   *bool `json:"pinned,omitempty"`
	Verified *bool `json:"verified,omitempty" doc:"True: a person has looked at it, and it is held no longer."`
}

// BackupData is a page of rows of one table of a backup.
type BackupData struct {
	Tables  []TableRecords       `json:"tables" doc:"What the backup holds."`
	Schema  string               `json:"schema,omitempty"`
	Table   string               `json:"table,omitempty"`
	Columns []string             `json:"columns"`
	Rows    []map[string]*string `json:"rows" doc:"Values as PostgreSQL writes them; null is NULL."`
	Page    int64                `json:"page" doc:"From 1."`
	Limit   int64                `json:"limit"`
	Total   int64                `json:"total" doc:"Rows of the table in the backup."`
}

// BackupStats are the exact numbers of rows of a branch's tables now.
type BackupStats struct {
	Project string         `json:"project"`
	Branch  string         `json:"branch"`
	Tables  []TableRecords `json:"tables"`
	Total   int64          `json:"total"`
}

// BackupHealth says how a branch stands with its backups.
type BackupHealth struct {
	Protected    bool          `json:"protected" doc:"The newest good backup has copies at two places or more."`
	Rule         ThreeTwoOne   `json:"rule_3_2_1" doc:"Three copies, on two media, one of them away from this machine."`
	Places       []BackupPlace `json:"places"`
	LastGood     *Backup       `json:"last_good,omitempty"`
	LastVerified *Backup       `json:"last_verified,omitempty"`
	Held         int           `json:"held" doc:"Backups that wait for a person to mark them verified."`
	Alerts       []string      `json:"alerts"`
}

// ThreeTwoOne says how a branch's newest good backup stands by the 3-2-1 rule. The database itself is a copy.
type ThreeTwoOne struct {
	Kept    bool     `json:"kept"`
	Copies  int      `json:"copies"`
	Media   int      `json:"media" doc:"Disks and servers that the copies are on."`
	Offsite int      `json:"offsite" doc:"Copies away from this machine."`
	Missing []string `json:"missing" doc:"What to do."`
}

// BackupPlace is a place where backups go.
type BackupPlace struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Offsite  bool      `json:"offsite,omitempty"`
	Copies   int       `json:"copies" doc:"Good backups of the branch that it has."`
	Behind   int       `json:"behind" doc:"Good backups of the branch that it does not have."`
	Newest   time.Time `json:"newest,omitzero" doc:"Of which the newest is from then."`
	Mounted  *bool     `json:"mounted,omitempty" doc:"Of an export folder: whether it is there now."`
	LastSync time.Time `json:"last_sync,omitzero" doc:"Of an export folder: when it had everything."`
}

// TableSet is a named set of tables.
type TableSet struct {
	Name   string   `json:"name,omitempty"`
	Tables []string `json:"tables" example:"[\"orders\"]"`
}

// ExportFolder is a folder for further copies of a project's backups.
type ExportFolder struct {
	Folder  string `json:"folder" example:"/mnt/disk/backups"`
	Encrypt bool   `json:"encrypt,omitempty"`
}

// Backups lists backups, the newest first; an empty project or branch is every one.
func (c *Client) Backups(ctx context.Context, project, branch string) ([]Backup, error) {
	q := url.Values{}
	if project != "" {
		q.Set("project", project)
	}
	if branch != "" {
		q.Set("branch", branch)
	}
	return list[Backup](ctx, c, BackupsPath+"?"+q.Encode())
}

// Backup returns one backup, by its ID or name.
func (c *Client) Backup(ctx context.Context, id string) (Backup, error) {
	return call[Backup](ctx, c, http.MethodGet, Path(BackupPath, id), nil)
}

// CreateBackup begins a backup. The answer has its ID and, where the server makes it in a job, the job's.
func (c *Client) CreateBackup(ctx context.Context, ask NewBackup) (Backup, error) {
	return call[Backup](ctx, c, http.MethodPost, BackupsPath, ask)
}

// ChangeBackup pins a backup or marks it verified.
func (c *Client) ChangeBackup(ctx context.Context, id string, change BackupChange) (Backup, error) {
	return call[Backup](ctx, c, http.MethodPatch, Path(BackupPath, id), change)
}

// DeleteBackup removes a backup from every place.
func (c *Client) DeleteBackup(ctx context.Context, id string, force bool) error {
	return c.do(ctx, http.MethodDelete, Path(BackupPath, id)+"?force="+strconv.FormatBool(force), nil, nil)
}

// DownloadBackup opens the bytes of a backup; packed leaves a backup in JSON packed. The caller closes the reader. name is what a file
// of it is called. A stream that was cut ends with an error.
func (c *Client) DownloadBackup(ctx context.Context, id string, packed bool) (name string, size int64, body io.ReadCloser, err error) {
	res, err := c.send(ctx, http.MethodGet, Path(BackupDownloadPath, id)+"?packed="+strconv.FormatBool(packed), "*/*", nil)
	if err != nil {
		return "", 0, nil, err
	}
	_, parameters, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
	if err != nil {
		parameters = map[string]string{"filename": id}
	}
	return parameters["filename"], res.ContentLength, res.Body, nil
}

// BackupData shows a page of rows of one table of a backup.
func (c *Client) BackupData(ctx context.Context, id, table string, page, limit int) (BackupData, error) {
	q := url.Values{"page": {strconv.Itoa(page)}, "limit": {strconv.Itoa(limit)}}
	if table != "" {
		q.Set("table", table)
	}
	return call[BackupData](ctx, c, http.MethodGet, Path(BackupDataPath, id)+"?"+q.Encode(), nil)
}

// BackupStats counts the rows of a branch's tables now.
func (c *Client) BackupStats(ctx context.Context, ref holdfast.BranchRef) (BackupStats, error) {
	q := url.Values{"project": {ref.Project}, "branch": {ref.Branch}}
	return call[BackupStats](ctx, c, http.MethodGet, BackupStatsPath+"?"+q.Encode(), nil)
}

// BackupHealth shows how a branch stands with its backups.
func (c *Client) BackupHealth(ctx context.Context, ref holdfast.BranchRef) (BackupHealth, error) {
	return call[BackupHealth](ctx, c, http.MethodGet, Path(BackupHealthPath, ref.Project, ref.Branch), nil)
}

// TableSets lists a project's named sets of tables.
func (c *Client) TableSets(ctx context.Context, project string) ([]TableSet, error) {
	return list[TableSet](ctx, c, Path(TableSetsPath, project))
}

// SetTableSet names a set of tables.
func (c *Client) SetTableSet(ctx context.Context, project, name string, tables []string) error {
	return c.do(ctx, http.MethodPut, Path(TableSetPath, project, name), TableSet{Tables: tables}, nil)
}

// DeleteTableSet forgets a set of tables.
func (c *Client) DeleteTableSet(ctx context.Context, project, name string) error {
	return c.do(ctx, http.MethodDelete, Path(TableSetPath, project, name), nil, nil)
}

// SetExportFolder chooses a folder for further copies of a project's backups.
func (c *Client) SetExportFolder(ctx context.Context, project string, e ExportFolder) error {
	return c.do(ctx, http.MethodPut, Path(ExportFolderPath, project), e, nil)
}

// RemoveExportFolder forgets the export folder; what lies there stays.
func (c *Client) RemoveExportFolder(ctx context.Context, project string) error {
	return c.do(ctx, http.MethodDelete, Path(ExportFolderPath, project), nil, nil)
}
