package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/platform"
)

// BackupPath is the part of a path that names a backup.
type BackupPath struct {
	ID string `path:"id" doc:"The backup's ID or name."`
}

type backupsInput struct {
	Project string `query:"project" doc:"Only backups of this project."`
	Branch  string `query:"branch" doc:"Only backups of branches of this name."`
}

type newBackupInput struct{ Body api.NewBackup }

type changeBackupInput struct {
	BackupPath
	Body api.BackupChange
}

type deleteBackupInput struct {
	BackupPath
	Force bool `query:"force" doc:"Also when it is pinned, held, or the last good one of its branch."`
}

type downloadBackupInput struct {
	BackupPath
	Packed bool `query:"packed" doc:"Leave a backup in JSON packed, as it is kept."`
}

type backupDataInput struct {
	BackupPath
	Table string `query:"table" doc:"SCHEMA.TABLE; the first one with rows when left out."`
	Page  int64  `query:"page" default:"1" minimum:"1"`
	Limit int64  `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}

type backupStatsInput struct {
	Project string   `query:"project"`
	Branch  string   `query:"branch"`
	Tables  []string `query:"tables" doc:"Only these tables."`
}

func (s *Server) backupRoutes() {
	p := s.config.Platform
	addList(s, route{method: http.MethodGet, path: api.BackupsPath, id: "list-backups", rule: forCallers, tag: "backups", summary: "Backups, the newest first"},
		func(ctx context.Context, who holdfast.Principal, in *backupsInput) ([]api.Backup, error) {
			all, err := p.Backups(ctx, who, in.Project, in.Branch)
			return mapped(all, viewBackup), err
		})
	add(s, route{method: http.MethodPost, path: api.BackupsPath, id: "create-backup", rule: toDevelop, tag: "backups", summary: "Begin a backup of a branch", status: http.StatusAccepted,
		about: "The answer has the backup's `id` and its `status`; ask for it again to see how it goes. Production is for human admins."},
		func(ctx context.Context, who holdfast.Principal, in *newBackupInput) (api.Backup, error) {
			ref := holdfast.BranchRef{Project: in.Body.Project, Branch: in.Body.Branch}
			if err := ref.Validate(); err != nil {
				return api.Backup{}, err
			}
			b, _, err := p.CreateBackup(ctx, who, ref, askedBackup(in.Body))
			return viewBackup(b), err
		})
	add(s, route{method: http.MethodGet, path: api.BackupStatsPath, id: "backup-stats", rule: forCallers, tag: "backups", summary: "How many rows a branch's tables have now", about: "Counted exactly and at one moment. It wakes the branch."},
		func(ctx context.Context, who holdfast.Principal, in *backupStatsInput) (api.BackupStats, error) {
			ref := holdfast.BranchRef{Project: in.Project, Branch: in.Branch}
			if err := ref.Validate(); err != nil {
				return api.BackupStats{}, err
			}
			counts, err := p.RecordCounts(ctx, who, ref, in.Tables)
			out := api.BackupStats{Project: in.Project, Branch: in.Branch, Tables: mapped(counts, viewRecords)}
			for _, c := range counts {
				out.Total += c.Records
			}
			return out, err
		})
	add(s, route{method: http.MethodGet, path: api.BackupPath, id: "get-backup", rule: toSee, tag: "backups", summary: "A backup and where it stands"},
		func(ctx context.Context, who holdfast.Principal, in *BackupPath) (api.Backup, error) {
			b, err := p.Backup(ctx, who, in.ID)
			return viewBackup(b), err
		})
	add(s, route{method: http.MethodPatch, path: api.BackupPath, id: "change-backup", rule: toDevelop, tag: "backups", summary: "Pin a backup, or mark it verified"},
		func(ctx context.Context, who holdfast.Principal, in *changeBackupInput) (api.Backup, error) {
			b, err := p.ChangeBackup(ctx, who, in.ID, platform.BackupChange{Pinned: in.Body.Pinned, Verified: in.Body.Verified})
			return viewBackup(b), err
		})
	addEmpty(s, route{method: http.MethodDelete, path: api.BackupPath, id: "delete-backup", rule: toDevelop, tag: "backups", summary: "Remove a backup from every place"},
		func(ctx context.Context, who holdfast.Principal, in *deleteBackupInput) error {
			return p.DeleteBackup(ctx, who, in.ID, in.Force)
		})
	add(s, route{method: http.MethodGet, path: api.BackupDataPath, id: "preview-backup", rule: toReadRows, tag: "backups", summary: "Rows of one table of a backup, page by page"},
		func(ctx context.Context, who holdfast.Principal, in *backupDataInput) (api.BackupData, error) {
			page, err := p.PreviewBackup(ctx, who, in.ID, in.Table, (in.Page-1)*in.Limit, in.Limit)
			return viewPage(page, in.Page, in.Limit), err
		})
	addJob(s, route{method: http.MethodPost, path: api.BackupVerifyPath, id: "verify-backup", rule: toDevelop, tag: "backups", summary: "Prove that a backup restores",
		about: "On a scratch server: rows, foreign keys, sequences, indexes, pages, roles and a login. A signed report is kept beside the backup."},
		func(ctx context.Context, who holdfast.Principal, in *BackupPath) (holdfast.Job, error) {
			return p.VerifyBackup(ctx, who, in.ID)
		})
	add(s, route{method: http.MethodGet, path: api.BackupReportPath, id: "backup-report", rule: toSee, tag: "backups", summary: "The last proof that a backup restores"},
		func(ctx context.Context, who holdfast.Principal, in *BackupPath) (api.BackupReport, error) {
			r, err := p.BackupReport(ctx, who, in.ID)
			if err != nil {
				return api.BackupReport{}, err
			}
			return viewProof(r)
		})
	s.scheduleRoutes()
	s.backupDownloadRoute()
	s.backupSettingsRoutes()
	s.proofHookRoutes()
}

func askedBackup(ask api.NewBackup) platform.NewBackup {
	if ask.Format == "" {
		ask.Format = string(holdfast.JSONFormat)
	}
	return platform.NewBackup{Name: ask.Name, TableSet: ask.TableSet, Pinned: ask.Pinned, Options: holdfast.BackupOptions{Format: holdfast.BackupFormat(ask.Format), KeepOwners: ask.KeepOwners, KeepRights: ask.KeepRights,
		DataOnly: ask.DataOnly, SchemaOnly: ask.SchemaOnly, Tables: ask.Tables, Jobs: ask.Jobs, Compression: holdfast.Compression(ask.Compression)}}
}

func viewRecords(t holdfast.TableRecords) api.TableRecords {
	return api.TableRecords{Schema: t.Schema, Table: t.Name, Records: t.Records}
}

func viewBackup(b platform.BackupView) api.Backup {
	out := api.Backup{ID: string(b.ID), Name: b.Name, Project: b.Project, Branch: b.Branch, Status: string(b.State), Format: string(b.Options.Format), Compression: string(b.Options.Compression), DataOnly: b.Options.DataOnly,
		SchemaOnly: b.Options.SchemaOnly, Tables: b.Options.Tables, Counts: mapped(b.Tables, viewRecords), Records: b.Records(), Size: b.Size, SHA256: b.SHA256, ServerVersion: b.ServerVersion, Tool: b.Tool,
		CreatedAt: b.StartedAt, SnapshotAt: b.SnapshotAt, CreatedBy: b.By, Reason: b.Reason, Pinned: b.Pinned, Held: b.HeldUntilProof, VerifiedAt: b.VerifiedAt,
		Error: b.Failure, ErrorHint: b.FailureHint, ToolOutput: b.ToolOutput, Job: string(b.JobID)}
	if b.State != holdfast.BackupInProgress {
		out.CompletedAt = b.EndedAt
	}
	for _, c := range b.Copies {
		out.Destinations = append(out.Destinations, c.Destination)
	}
	return out
}

func viewPage(page platform.BackupPage, number, limit int64) api.BackupData {
	out := api.BackupData{Tables: mapped(page.Tables, viewRecords), Schema: page.Schema, Table: page.Name, Columns: page.Columns, Rows: []map[string]*string{}, Page: number, Limit: limit, Total: page.Records}
	for _, row := range page.Rows {
		named := make(map[string]*string, len(row))
		for i, value := range row {
			if i < len(page.Columns) {
				named[page.Columns[i]] = value
			}
		}
		out.Rows = append(out.Rows, named)
	}
	return out
}

// streamPatience is how long a stream of bytes may stand still.
const streamPatience = 2 * time.Minute

// backupDownloadRoute streams a backup's bytes. When they turn out not to be whole, the connection is cut: a file that is not whole must not look so.
func (s *Server) backupDownloadRoute() {
	r := route{method: http.MethodGet, path: api.BackupDownloadPath, id: "download-backup", rule: toReadRows, tag: "backups", summary: "A backup's file", about: "A backup in JSON comes as a JSON file, others as they are kept."}
	op := r.operation()
	op.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{
		"application/json":         {Schema: &huma.Schema{Type: huma.TypeObject, Description: "A backup in JSON."}},
		"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}}
	huma.Register(s.api, op, func(ctx context.Context, in *downloadBackupInput) (*huma.StreamResponse, error) {
		file, err := s.config.Platform.DownloadBackup(ctx, principal(ctx), in.ID, in.Packed)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			s.streamFile(ctx, w, file)
		}}, nil
	})
}

func (s *Server) streamFile(ctx context.Context, w http.ResponseWriter, file platform.BackupFile) {
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if file.JSON {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	if file.Size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(file.Size, 10))
	}
	w.WriteHeader(http.StatusOK)
	if err := copyPatiently(w, file); err != nil {
		if ctx.Err() == nil {
			s.log.Warn("send a backup", "file", file.Name, "err", err)
		}
		panic(http.ErrAbortHandler)
	}
}

// copyPatiently copies a stream that may take hours, as long as it moves.
func copyPatiently(w http.ResponseWriter, r io.Reader) error {
	stream := http.NewResponseController(w)
	buffer := make([]byte, 256<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			stream.SetWriteDeadline(time.Now().Add(streamPatience))
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
