// Package adminbackup mounts Holdfast's API of backups, /api/admin/backups, in a program of one's own, for any PostgreSQL that the program reaches
// through database/sql. The requests and answers are those of a Holdfast server (docs/backups.md), for backups in JSON.
//
// A caller may rely on this: a backup holds the rows and sequences of one moment, is streamed with bounded memory into a folder, and counts as completed
// only after it was read back. It has no schema and no large objects: the program's own migrations make the schema. Nothing is
// answered without the program's permission.
package adminbackup

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/holdfast/holdfast"
	"github.com/holdfast/holdfast/internal/api"
	"github.com/holdfast/holdfast/internal/backup"
)

// Action is what a request wants to do.
type Action string

// The actions that a program allows or refuses.
const (
	See      Action = "see"       // lists, states and numbers of rows
	ReadRows Action = "read_rows" // download and preview
	Create   Action = "create"
	Delete   Action = "delete"
)

// Access is what a request asks permission for. For a backup that does not exist, project and branch are those of one of the databases, or empty where there is none.
type Access struct {
	Action  Action
	Project string
	Branch  string
}

// Database is a database under the names by which requests ask for it.
type Database struct {
	Project string // shop
	Branch  string // production
	DB      *sql.DB
	Tables  []string // patterns of the tables that are tracked; empty: all
}

// Config is what a Handler needs.
type Config struct {
	Databases []Database
	Folder    string // where backups are kept; made when it is not there. One running program for each folder

	// Authorize says who makes a request, or why it is refused: a *holdfast.Error is answered as it is, any other error as "not allowed". Without
	// the function everything is refused. A program that uses cookies checks here that the request comes from its own pages.
	Authorize func(r *http.Request, access Access) (who string, err error)

	Log *slog.Logger // nil: slog.Default
}

// Handler answers the API. It is safe for many requests at once.
type Handler struct {
	config    Config
	catalogue *backup.Catalogue
	mux       *http.ServeMux
	log       *slog.Logger

	ctx     context.Context // ends the backups that run, on Close
	stop    context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	busy map[holdfast.BranchRef]bool // a backup of it is being made
}

// New opens the folder. Backups that an earlier run of the program left unfinished become failed ones.
func New(ctx context.Context, config Config) (*Handler, error) {
	if config.Log == nil {
		config.Log = slog.Default()
	}
	names := map[holdfast.BranchRef]bool{}
	for _, d := range config.Databases {
		ref := d.ref()
		if err := ref.Validate(); err != nil {
			return nil, err
		}
		if d.DB == nil || names[ref] {
			return nil, &holdfast.Error{Kind: holdfast.Invalid, Message: fmt.Sprintf("the database %s is named twice or is nil", ref)}
		}
		names[ref] = true
	}
	catalogue, err := backup.OpenCatalogue(config.Folder)
	if err != nil {
		return nil, err
	}
	if _, err := catalogue.Settle(ctx, func(holdfast.Backup) bool { return false }); err != nil {
		return nil, fmt.Errorf("settle what was interrupted: %w", err)
	}
	h := &Handler{config: config, catalogue: catalogue, mux: http.NewServeMux(), log: config.Log, busy: map[holdfast.BranchRef]bool{}}
	h.ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	h.routes()
	return h, nil
}

func (d Database) ref() holdfast.BranchRef {
	return holdfast.BranchRef{Project: d.Project, Branch: d.Branch}
}

// Close ends the backups that are being made, as failed ones, and returns when they have ended. Twice is harmless.
func (h *Handler) Close() error {
	h.mu.Lock()
	h.stop()
	h.mu.Unlock()
	h.running.Wait()
	return nil
}

// ServeHTTP answers a request whose path begins with /api/admin/backups.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) routes() {
	for pattern, answer := range map[string]func(*http.Request) (int, any, error){
		"GET " + api.BackupsPath:     h.list,
		"POST " + api.BackupsPath:    h.create,
		"GET " + api.BackupStatsPath: h.stats,
		"GET " + api.BackupPath:      h.get,
		"GET " + api.BackupDataPath:  h.data,
		"DELETE " + api.BackupPath:   h.remove,
	} {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, body, err := answer(r)
			if err != nil {
				h.refuse(w, r, err)
				return
			}
			h.write(w, status, body)
		})
	}
	h.mux.HandleFunc("GET "+api.BackupDownloadPath, h.download)
}

// authorize asks the program.
func (h *Handler) authorize(r *http.Request, action Action, ref holdfast.BranchRef) (who string, err error) {
	if h.config.Authorize == nil {
		return "", &holdfast.Error{Kind: holdfast.NotAllowed, Message: "nobody may use the backups", Hint: "the program gives no function that authorizes requests"}
	}
	return h.config.Authorize(r, Access{Action: action, Project: ref.Project, Branch: ref.Branch})
}

// database finds the database that a request names, after the request is allowed.
func (h *Handler) database(r *http.Request, action Action, ref holdfast.BranchRef) (d Database, who string, err error) {
	if err := ref.Validate(); err != nil {
		return d, "", err
	}
	if who, err = h.authorize(r, action, ref); err != nil {
		return d, "", h.refused(err)
	}
	for _, d := range h.config.Databases {
		if d.ref() == ref {
			return d, who, nil
		}
	}
	return d, "", &holdfast.Error{Kind: holdfast.NotFound, Message: fmt.Sprintf("there is no database %s", ref)}
}

// find finds a backup by its ID or name, after the request is allowed.
func (h *Handler) find(r *http.Request, action Action) (holdfast.Backup, error) {
	all, err := h.catalogue.List(r.Context())
	if err != nil {
		return holdfast.Backup{}, err
	}
	id := r.PathValue("id")
	for _, b := range all.Backups {
		if string(b.ID) == id || b.Name == id {
			_, err := h.authorize(r, action, holdfast.BranchRef{Project: b.Project, Branch: b.Branch})
			return b, h.refused(err)
		}
	}
	// Who may see none of the databases does not learn either which backups there are not.
	if len(h.config.Databases) == 0 {
		_, err = h.authorize(r, action, holdfast.BranchRef{})
	}
	for _, d := range h.config.Databases {
		if _, err = h.authorize(r, action, d.ref()); err == nil {
			break
		}
	}
	if err == nil {
		err = &holdfast.Error{Kind: holdfast.NotFound, Message: "this backup does not exist"}
	}
	return holdfast.Backup{}, h.refused(err)
}
